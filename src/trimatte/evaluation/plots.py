"""The report's scatter plot, as inline SVG that takes its colours from the page."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from trimatte.errors import MissingExtraError
from trimatte.evaluation.summary import Row
from trimatte.evaluation.tables import heading_and_factor

# Stands for the page's text colour while matplotlib draws; replaced afterwards.
INK = "#123456"
# Where a name may stand about its point, in points; the first that is free is taken.
_PLACES = [(sign * 6, dy) for dy in (4, -10, 14, -20, 24, -30, 34, -40, 44, -50) for sign in (1, -1)]


def cost_against_quality(rows: Sequence[Row], metric: str, cost: str) -> str | None:
    """Cost ("seconds" or "peak_bytes") and mean error of methods, with the Pareto front; None for fewer than two."""
    chosen = [row for row in rows if getattr(row, cost) and row.complete and metric in row.means]
    if len(chosen) < 2:
        return None
    plt = _pyplot()
    unit = 1 if cost == "seconds" else 1 / 2**20
    heading, scale = heading_and_factor(metric)
    points = [(getattr(row, cost) * unit, row.means[metric] * scale) for row in chosen]
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "trimatte", "font.size": 11}):
        figure, axes = plt.subplots(figsize=(5.2, 3.8), layout="constrained")
        front = pareto(points, higher_is_better=metric == "iou")
        corner = (max(x for x, _ in points) * 1.3, front[-1][1])
        line = list(zip(*[*front, corner], strict=True))
        axes.step(*line, where="post", color=INK, alpha=0.45, linewidth=1, label="Pareto front")
        for row, (x, y) in zip(chosen, points, strict=True):
            low, high = row.intervals[metric]
            colour = "#4c8bd9" if (x, y) in front else "#d97f4c"
            axes.plot([x, x], [low * scale, high * scale], color=colour, alpha=0.5, linewidth=1.5)
            axes.plot(x, y, "o", color=colour)
        _scale(axes, "x", [x for x, _ in points])
        _scale(axes, "y", [y for _, y in points])
        axes.set_xlabel("seconds a picture" if cost == "seconds" else "memory above base, MiB")
        axes.set_ylabel(f"{heading} (95 % interval)")
        axes.margins(x=0.22, y=0.12)
        _style(axes)
        figure.draw_without_rendering()  # until then nothing has its place
        _annotate(axes, [row.method for row in chosen], points)
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


def _scale(axes: Any, axis: str, values: Sequence[float]) -> None:
    """Logarithmic with plain figures, unless values lie so close together that few round ones lie between."""
    if not 0 < 4 * min(values) < max(values):
        return
    axes.set(**{f"{axis}scale": "log"})
    labelled = "125" if max(values) < 200 * min(values) else "1"
    ticks = getattr(axes, f"{axis}axis")
    for which in (ticks.set_major_formatter, ticks.set_minor_formatter):
        which(lambda value, position: f"{value:g}" if f"{value:e}"[0] in labelled else "")


def _annotate(axes: Any, methods: Sequence[str], points: Sequence[tuple[float, float]]) -> None:
    """Names beside their points, each at the first place about its own where it covers neither a name nor a point."""
    dots = [axes.transData.transform(point) for point in points]
    covered: list[Any] = []
    for method, point in sorted(zip(methods, points, strict=True), key=lambda item: item[1]):
        text = axes.annotate(method, point, (0, 0), textcoords="offset points", color=INK, fontsize=9)
        for dx, dy in _PLACES:
            text.set(position=(dx, dy), ha="left" if dx > 0 else "right")
            box = text.get_window_extent().padded(1)
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            clear = not any(
                box.padded(4).contains(*dot) for dot, other in zip(dots, points, strict=True) if other != point
            )
            if inside and clear and not box.count_overlaps(covered):
                break
        covered.append(box)
        if abs(dy) > 10:  # too far to be told without a line
            line = {"arrowstyle": "-", "color": INK, "alpha": 0.5, "linewidth": 0.7}
            axes.annotate("", point, (dx, dy + 3), textcoords="offset points", arrowprops=line)


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
