"""The report's scatter plot, as inline SVG that takes its colours from the page."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from trimatte.errors import MissingExtraError
from trimatte.evaluation.summary import Row
from trimatte.evaluation.tables import COLUMNS

# Stands for the page's text colour while matplotlib draws; replaced afterwards.
INK = "#123456"


def cost_against_quality(rows: Sequence[Row], metric: str, cost: str) -> str | None:
    """Cost ("seconds" or "peak_bytes") and mean error of methods, with the Pareto front; None for fewer than two."""
    chosen = [row for row in rows if getattr(row, cost) and row.complete and metric in row.means]
    if len(chosen) < 2:
        return None
    plt = _pyplot()
    unit = 1 if cost == "seconds" else 1 / 2**20
    heading, scale = next(((h, factor) for m, h, factor, _ in COLUMNS if m == metric), ("IoU", 1.0))
    points = [(getattr(row, cost) * unit, row.means[metric] * scale) for row in chosen]
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "trimatte", "font.size": 11}):
        figure, axes = plt.subplots(figsize=(5.2, 3.8), layout="constrained")
        front = pareto(points, higher_is_better=metric == "iou")
        corner = (max(x for x, _ in points) * 1.3, front[-1][1])
        line = list(zip(*[*front, corner], strict=True))
        axes.step(*line, where="post", color=INK, alpha=0.45, linewidth=1, label="Pareto front")
        for row, (x, y) in zip(chosen, points, strict=True):
            low, high = row.intervals[metric]
            axes.plot([x, x], [low * scale, high * scale], color="#4c8bd9", alpha=0.5, linewidth=1.5)
            axes.plot(x, y, "o", color="#4c8bd9" if (x, y) in front else "#d97f4c")
        _annotate(axes, chosen, points)
        axes.set_xscale("log")
        axes.set_xlabel("seconds a picture" if cost == "seconds" else "peak memory, MiB")
        axes.set_ylabel(f"{heading}{' times 1000' if scale == 1e3 else ''} (95 % interval)")
        for which in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            which(_plain)
        axes.margins(x=0.22, y=0.12)
        _style(axes)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return _inline(stream.getvalue())


def pareto(points: Sequence[tuple[float, float]], *, higher_is_better: bool = False) -> list[tuple[float, float]]:
    """Points that no other point beats in both cost and quality, cheapest first."""
    front: list[tuple[float, float]] = []
    sign = -1 if higher_is_better else 1
    for x, y in sorted(points, key=lambda point: (point[0], sign * point[1])):
        if not front or sign * y < sign * front[-1][1]:
            front.append((x, y))
    return front


def _pyplot() -> Any:
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot
    except ImportError as error:
        raise MissingExtraError("a report needs matplotlib: pip install 'trimatte[eval]'") from error
    return matplotlib.pyplot


def _plain(value: float, position: int) -> str:
    """Tick labels 1, 2, 5, 10, ... of a logarithmic axis, in plain figures."""
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""


def _annotate(axes: Any, rows: Sequence[Row], points: Sequence[tuple[float, float]]) -> None:
    """Names beside their points, moved down where the one above would be overwritten."""
    span = max(y for _, y in points) - min(y for _, y in points) or 1.0
    taken: list[tuple[float, float]] = []
    for row, (x, y) in sorted(zip(rows, points, strict=True), key=lambda item: -item[1][1]):
        at = y
        for other_x, other_y in taken:
            if 0.25 < x / other_x < 4 and other_y - at < 0.07 * span:
                at = other_y - 0.07 * span
        taken.append((x, at))
        axes.annotate(row.method, (x, at), xytext=(7, -3), textcoords="offset points", color=INK, fontsize=9)


def _style(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    axes.tick_params(which="both", colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(alpha=0.18, color=INK)
    legend = axes.legend(frameon=False, labelcolor=INK, fontsize=9, loc="best")
    legend.set_zorder(0)


def _inline(svg: str) -> str:
    """Only the svg element, scaled by the page, in the page's colours."""
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", svg, count=1) if "width=" in svg else svg
