"""`python -m trimatte`: the command line."""

from trimatte.cli import main

main(prog_name="trimatte")
