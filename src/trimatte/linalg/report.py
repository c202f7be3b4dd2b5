"""What a solver did, for the caller to read and to judge."""

from __future__ import annotations

from dataclasses import dataclass, field

from trimatte.runtime.report import PlainReport


@dataclass
class SolveReport(PlainReport):
    """What happened on the way to an alpha matte.

    Attributes
    ----------
    method : str
        The alpha method's name.
    unknown : int
        Number of unknown pixels.
    solver : str
        How the system was solved, in words; empty if none was.
    device : str
        Where a network ran: "cpu", "cuda" and so on; empty if none did.
    iterations : int
        Of the iterative solver, 0 for a direct one.
    residual : float
        Final relative residual |b - Ax| / |b|, 0 if nothing was solved.
    reduction : int
        By what the picture was made smaller before; 1 if it was not.
    undetermined : int
        Number of unknown pixels whose alpha nothing known determines.
    converged : bool
        Whether the demanded residual was reached. A result that has not converged is never passed off as one.
    fallbacks : list of str
        Each departure from the plain way, and why.
    predicted_bytes : int
        Memory that the plan foresaw for the solve, 0 if there was none.
    peak_bytes : int
        The process's greatest resident memory so far, 0 where the system does not tell.
    seconds : dict of str to float
        Wall time by stage.
    """

    method: str = ""
    unknown: int = 0
    reduction: int = 1
    undetermined: int = 0
    solver: str = ""
    device: str = ""
    iterations: int = 0
    residual: float = 0.0
    converged: bool = True
    fallbacks: list[str] = field(default_factory=list)
    predicted_bytes: int = 0
    peak_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
