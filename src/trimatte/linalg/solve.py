"""The solver ladder for stencil systems: plan the memory, prepare once, solve as often as asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trimatte.errors import SolverError
from trimatte.linalg.cg import conjugate_gradients
from trimatte.linalg.coarse import coarse_space
from trimatte.linalg.report import SolveReport
from trimatte.linalg.stencil import StencilSystem
from trimatte.runtime.measure import timed

RTOL = 3e-6
LARGE, LARGE_RTOL = 300_000, 1e-5
"""From so many unknowns on, a larger residual: it is spread over more pixels, and alpha is as near to exact."""
WALK_RTOL = 1e-9
"""Of random walks, where parts of the band hang on what is known by weights of 1e-8."""
MAX_ITERATIONS = 400
SPACINGS = (3, 4, 5, 6, 8, 12)
QUICKEST = ((150_000, 3), (800_000, 4), (2_200_000, 5), (math.inf, 6))
"""Up to how many unknowns which spacing is the fastest."""
SHIFT = 1e-6
"""Share by which the diagonal grows where rounding has cost the matrix its definiteness."""

BYTES_PER_UNKNOWN = 12 * 4 + 3 * 4 + 2 * 8 + 4 + 9 * 8
"""Stencil, diagonal and right-hand side, position, and the vectors of the iteration."""
BYTES_OF_AGGREGATES = 280
"""The graph of the unknown pixels, 8 edges each, and what is made of it."""


class Coarse(Protocol):
    """A coarse space: `CoarseSpace`, or `Aggregates`."""

    def correct(self, r: np.ndarray, out: np.ndarray) -> None:
        """out = P A_c^-1 P' r for a residual r (n,)."""


def predicted_bytes(unknown: int, spacing: int) -> int:
    """Memory of a solve over `unknown` pixels: the system, and a coarse factor of some 500 16-bit numbers a node."""
    nodes = 1.3 * unknown / (spacing - 0.3) ** 2
    fill = 37 * math.log2(max(nodes, 2))
    return round(unknown * BYTES_PER_UNKNOWN + nodes * (3.6 * fill + 9 * 128 + 640))


def plan_spacing(unknown: int, max_memory: int | None) -> int:
    """The spacing of coarse nodes: the one that is fastest at this size, or a wider one that fits `max_memory`.

    Raises `SolverError` with the bytes that it would take if none fits.
    """
    quickest = next(spacing for most, spacing in QUICKEST if unknown < most)
    for spacing in SPACINGS:
        if spacing >= quickest and (max_memory is None or predicted_bytes(unknown, spacing) <= max_memory):
            return spacing
    raise _too_large(unknown, predicted_bytes(unknown, SPACINGS[-1]), max_memory)


def _too_large(unknown: int, least: int, most: int | None) -> SolverError:
    return SolverError(f"max_memory: {unknown} unknown pixels take at least {least} bytes, {most} are allowed")


def default_rtol(unknown: int) -> float:
    """The relative residual at which closed-form alpha is within 0.002 of the exact one for 99.9 % of the pixels."""
    return RTOL if unknown < LARGE else LARGE_RTOL


@dataclass
class Prepared:
    """A system with its preconditioner, ready to be solved again and again."""

    system: StencilSystem
    coarse: Coarse

    def precondition(self, r: np.ndarray, out: np.ndarray, product: np.ndarray) -> None:
        """out = one symmetric cycle for r: sweep down, correct from the coarse space, sweep up; product = A out."""
        self.system.descend(r, out, self._rest)
        self.coarse.correct(self._rest, self._y)
        self.system.ascend(self._rest, self._y, r, out, product)

    def __post_init__(self) -> None:
        n = self.system.band.size
        self._rest, self._y = np.empty(n), np.empty(n)

    def solve(self, *, rtol: float = RTOL, x: np.ndarray | None = None) -> tuple[np.ndarray, int, float]:
        """Solution, iterations and relative residual, from the first guess x."""
        return conjugate_gradients(
            self.system.multiply,
            self.system.b,
            self.precondition,
            rtol=rtol,
            max_iterations=MAX_ITERATIONS,
            x=x,
            gives_product=True,
        )


def solve_stencil(
    image: np.ndarray,
    system: StencilSystem,
    report: SolveReport,
    *,
    rtol: float | None = None,
    max_memory: int | None = None,
    x: np.ndarray | None = None,
) -> np.ndarray:
    """Solve a stencil system over image (H, W, 3) and say in `report` how it went.

    Parameters
    ----------
    rtol : float, optional
        Demanded relative residual; `default_rtol` if None.
    max_memory : int, optional
        Bytes that the solve may take; a leaner rung is taken if need be.
    x : (n,) float64 array, optional
        A first guess; overwritten.
    """
    unknown = system.band.size
    rtol = default_rtol(unknown) if rtol is None else rtol
    spacing = plan_spacing(unknown, max_memory)
    report.predicted_bytes = predicted_bytes(unknown, spacing)
    report.solver = f"conjugate gradients, Gauss-Seidel and affine colours every {spacing} pixels"
    solution = _solved(system, lambda: coarse_space(image, system, spacing), report, rtol, x)
    if not report.converged:
        solution = _shifted(image, system, spacing, report, rtol)
    return solution


def solve_walk(
    _: np.ndarray,
    system: StencilSystem,
    report: SolveReport,
    *,
    rtol: float | None = None,
    max_memory: int | None = None,
    x: np.ndarray | None = None,
) -> np.ndarray:
    """Solve a system of random walks, whose weights differ by many orders; as `solve_stencil` otherwise."""
    from trimatte.linalg.aggregation import aggregates

    unknown, rtol = system.band.size, WALK_RTOL if rtol is None else rtol
    report.predicted_bytes = unknown * (BYTES_PER_UNKNOWN + BYTES_OF_AGGREGATES)
    if max_memory is not None and report.predicted_bytes > max_memory:
        raise _too_large(unknown, report.predicted_bytes, max_memory)
    report.solver = "conjugate gradients, Gauss-Seidel and aggregates"
    return _solved(system, lambda: aggregates(system), report, rtol, x)


def _solved(
    system: StencilSystem, build: Callable[[], Coarse], report: SolveReport, rtol: float, x: np.ndarray | None
) -> np.ndarray:
    """The solution, by the coarse space that `build` makes; the report says how it went."""
    with timed(report.seconds, "coarse"):
        prepared = Prepared(system, build())
    with timed(report.seconds, "solve"):
        solution, report.iterations, report.residual = prepared.solve(rtol=rtol, x=x)
    report.converged = report.residual <= rtol
    return solution


def _shifted(image: np.ndarray, system: StencilSystem, spacing: int, report: SolveReport, rtol: float) -> np.ndarray:
    """Solve once more with a slightly greater diagonal, where the matrix is singular to working precision."""
    report.fallbacks.append(
        f"residual {report.residual:.1e} after {report.iterations} iterations: diagonal shifted by {SHIFT:.0e}"
    )
    firmer = system._replace(diagonal=system.diagonal * (1 + SHIFT))
    with timed(report.seconds, "shifted"):
        solution, iterations, report.residual = Prepared(firmer, coarse_space(image, firmer, spacing)).solve(rtol=rtol)
    report.iterations += iterations
    report.converged = report.residual <= rtol
    return solution
