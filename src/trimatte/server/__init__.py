"""trimatte over HTTP: `trimatte serve`, and an ASGI application for whoever has a server of their own.

The process that talks HTTP decodes no picture. It reads a body under limits, checks the parameters against one table,
and hands both to one of a few worker processes, which it replaces when they take too long, grow too large or die.
Needs the extra `server`.
"""
