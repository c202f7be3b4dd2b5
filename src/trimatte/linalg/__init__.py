"""Sparse systems on the unknown band: assembly, preconditioners, solvers, `SolveReport`."""

from trimatte.linalg.report import SolveReport

__all__ = ["SolveReport"]
