"""The call signatures of other tools, answered by trimatte: change an import, and keep the rest of a program."""
