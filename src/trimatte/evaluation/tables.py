"""Summary rows as Markdown and LaTeX. Every table says its region and its scaling."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trimatte.evaluation.alpha_metrics import VARIANTS
from trimatte.evaluation.statistics import Interval
from trimatte.evaluation.summary import COLOURS, FURTHER, Row

# Metric, heading, factor and decimals, as papers print them.
COLUMNS = (
    ("sad", "SAD", 1.0, 2),
    ("mse", "MSE", 1e3, 2),
    ("mad", "MAD", 1e3, 2),
    ("gradient", "Grad", 1.0, 2),
    ("connectivity", "Conn", 1.0, 2),
)
FURTHER_COLUMNS = (
    ("iou", "IoU", 100.0, 2),
    ("sad_foreground", "SAD of foreground", 1.0, 2),
    ("sad_background", "of background", 1.0, 2),
    ("sad_transition", "of transition", 1.0, 2),
    *(
        (name, f"{'Grad' if name.startswith('gradient') else 'Conn'}, {name.partition(':')[2]}", 1.0, 2)
        for name in VARIANTS
    ),
    ("foreground_sad", "colours: SAD", 1.0, 2),
    ("foreground_mad", "colours: MAD", 1e3, 2),
    ("foreground_mse", "colours: MSE", 1e3, 2),
)
HEADINGS = {metric: heading for metric, heading, _, _ in (*COLUMNS, *FURTHER_COLUMNS)}
_FORMATS = {metric: (factor, decimals) for metric, _, factor, decimals in (*COLUMNS, *FURTHER_COLUMNS)}
SCALING = "SAD, Grad and Conn are sums divided by 1000; MSE and MAD are means times 1000"
COMPARED = (
    "Intervals cover the mean with 95 % (studentised bootstrap over pictures); behind: the paired difference to the "
    "first, with p of an exact sign-flip test, corrected by Holm's method."
)
MEMORY = (
    "Memory is how far the process rose above its base, which is taken after a warm-up with libraries, weights and the "
    "picture loaded"
)
SHARED, GIVEN = "†", "‡"
_MARKS = {
    SHARED: "other methods ran in the same process, and what they left may hide some",
    GIVEN: "as the other program says",
}
_UNITS = {1.0: "", 1e3: ", times 1000", 100.0: ", percent"}


def figure_text(metric: str, value: float, sign: str = "") -> str:
    """A metric's value as tables print it."""
    factor, decimals = _FORMATS[metric]
    return f"{round(value * factor, decimals) + 0.0:{sign}.{decimals}f}"  # adding 0 makes -0 one without a sign


def interval_text(metric: str, interval: Interval, sign: str = "") -> str:
    """A metric's interval as tables print it; a dash where one witness says nothing about others."""
    if not all(math.isfinite(end) for end in interval):
        return "–"
    low, high = (figure_text(metric, end, sign) for end in interval)
    return f"[{low}, {high}]"


def p_text(p: float) -> str:
    """A probability as tables print it."""
    return f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def heading_and_factor(metric: str) -> tuple[str, float]:
    """A metric's name with its unit, and what its values are multiplied by."""
    factor, _ = _FORMATS[metric]
    return HEADINGS[metric] + _UNITS[factor], factor


def memory_text(row: Row) -> str:
    """A row's memory as tables print it, marked where it is less sure than others'."""
    text = size(row.peak_bytes)
    return text + {True: "", False: SHARED, None: GIVEN}[row.isolated] if text else ""


def memory_note(rows: Sequence[Row]) -> str:
    """What the memory in a table is, and what its marks mean; nothing where none was measured."""
    texts = [memory_text(row) for row in rows]
    marks = [f"{mark} {words}" for mark, words in _MARKS.items() if any(text.endswith(mark) for text in texts)]
    return "; ".join([MEMORY, *marks]) + "." if any(texts) else ""


def title(row: Row) -> str:
    trimap = f", {row.trimap}" if row.trimap else ""
    total = row.pictures + row.failed + row.missing
    return f"{row.dataset}{trimap}, {total} picture{'s' if total != 1 else ''}"


def caption(row: Row, metrics: Sequence[str] = ()) -> str:
    """Where and how the figures of a row's table were taken, IoU's too if it is among `metrics`."""
    where = "unknown pixels of the trimap" if row.region == "unknown" else "the whole picture"
    iou = " IoU in percent, over the whole picture; higher is better." if "iou" in metrics else ""
    return f"Over {where}, alpha in 8 bits; {SCALING}. Lower is better.{iou}"


@dataclass(frozen=True)
class Table:
    """What any format prints: a title, what is to be said of it, a label, headings, and cells by row."""

    title: str
    note: str
    label: str
    head: list[str]
    rows: list[list[str]]


def markdown(rows: Sequence[Row], metric: str = "mse") -> str:
    """Tables of each benchmark and trimap, and one over all of them; `metric` has a column, whichever it is."""
    return "\n\n".join(map(_markdown, _all(rows, metric, lambda text: f"**{text}**")))


def latex(rows: Sequence[Row], metric: str = "mse") -> str:
    """The same as `markdown` as booktabs tables."""
    return "\n\n".join(map(_latex, _all(rows, metric, _bold)))


def _all(rows: Sequence[Row], metric: str, bold: Callable[[str], str]) -> Iterator[Table]:
    for group in by_group(rows):
        yield _ranking(group, metric, bold)
        yield from group_supplements(group, metric)
    if over_all := overview(rows, metric):
        yield over_all


def _markdown(table: Table) -> str:
    lines = [f"**{table.title}.** {table.note}", "", _line(table.head)]
    lines.append("| --- |" + " ---: |" * (len(table.head) - 1))
    return "\n".join([*lines, *map(_line, table.rows)])


def _latex(table: Table) -> str:
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_tex(table.title)}. {_tex(table.note)}}}",
            rf"\label{{{table.label}}}",
            r"\centering",
            r"\begin{tabular}{l" + "r" * (len(table.head) - 1) + "}",
            r"\toprule",
            _tex_line(table.head),
            r"\midrule",
            *map(_tex_line, table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _ranking(rows: Sequence[Row], metric: str, bold: Callable[[str], str]) -> Table:
    metrics = _metrics(metric)
    given = _given(rows)
    compared = [f"{HEADINGS[metric]}, 95 %", "behind", "p"]
    head = ["method", *given[:1], *(HEADINGS[m] for m in metrics), *compared, "seconds", "memory", "not done"]
    note = " ".join(filter(None, [caption(rows[0], metrics), COMPARED, memory_note(rows)]))
    cells = [_cells(row, rows, metrics, metric, bold) for row in rows]
    lines = [[name, *given[i : i + 1], *rest] for i, (name, *rest) in enumerate(cells, start=1)]
    return Table(title(rows[0]), note, _label(rows[0]), head, lines)


def _given(rows: Sequence[Row]) -> list[str]:
    """The column of what methods were given, with its heading; nothing where it is known of none."""
    if not any(row.given for row in rows):
        return []
    return ["given", *(row.given or "–" for row in rows)]


def group_supplements(rows: Sequence[Row], metric: str = "mse") -> list[Table]:
    """What stands beside the ranking on a benchmark and trimap: further figures, segmentation, categories."""
    tables = (_further(rows), _segmentation(rows), _kinds(rows, metric))
    return [table for table in tables if table is not None]


def _further(rows: Sequence[Row]) -> Table | None:
    """SAD by region, ports' variants, and errors of colours."""
    metrics = [m for m in FURTHER if any(m in row.means for row in rows)]
    if not metrics:
        return None
    regions = "trimap" if rows[0].trimap else "true alpha"
    note = f"SAD of foreground, background and transition: regions of the {regions}, over the whole picture."
    if any(":" in m for m in metrics):
        note += " Variants are those of published ports."
    if any(m in COLOURS for m in metrics):
        note += " Colours: of the foreground where true alpha exceeds 0.01; MAD and MSE times 1000."
    chosen = [row for row in rows if any(m in row.means for m in metrics)]
    lines = [
        [row.method, *(figure_text(m, row.means[m]) if m in row.means else "–" for m in metrics)] for row in chosen
    ]
    head = ["method", *(HEADINGS[m] for m in metrics)]
    return Table(f"{title(rows[0])}: further figures", note, _label(rows[0], "further"), head, lines)


_SEGMENTATION = {
    "mae": "MAE",
    "iou": "IoU",
    "boundary_iou": "boundary IoU",
    "max_f": "best F",
    "weighted_f": "weighted F",
    "s_measure": "S-measure",
    "e_measure": "mean E-measure",
}


def _segmentation(rows: Sequence[Row]) -> Table | None:
    chosen = [row for row in rows if row.segmentation]
    if not chosen:
        return None
    note = (
        "Of the foreground probability against the true alpha, over the whole picture, means over pictures (best F: of "
        "each picture by itself). Higher is better, but for MAE."
    )
    lines = [
        [row.method, *(f"{row.segmentation[m]:.3f}" if m in row.segmentation else "–" for m in _SEGMENTATION)]
        for row in chosen
    ]
    head = ["method", *_SEGMENTATION.values()]
    return Table(f"{title(rows[0])}: segmentation", note, _label(rows[0], "segmentation"), head, lines)


def _kinds(rows: Sequence[Row], metric: str) -> Table | None:
    kinds = sorted({kind for row in rows for kind in row.categories})
    if len(kinds) < 2:
        return None
    most = {kind: max(row.categories[kind][0] for row in rows if kind in row.categories) for kind in kinds}
    heading, _ = heading_and_factor(metric)

    def cell(row: Row, kind: str) -> str:
        count, mean = row.categories.get(kind, (0, 0.0))
        return figure_text(metric, mean) if count == most[kind] else "–"

    lines = [[row.method, *(cell(row, kind) for kind in kinds)] for row in rows]
    head = ["method", *(f"{kind} ({most[kind]})" for kind in kinds)]
    note = f"{heading}, means over the pictures of each category, whose number is in brackets."
    return Table(f"{title(rows[0])}: categories", note, _label(rows[0], "categories"), head, lines)


def overview(rows: Sequence[Row], metric: str) -> Table | None:
    """All benchmarks and trimaps side by side, and the average rank over all their pictures."""
    groups = by_group(rows)
    methods = list(dict.fromkeys(row.method for row in rows))
    if len(methods) < 2:
        return None
    found = {(row.method, row.group): row for row in rows}
    sizes = {group[0].group: group[0].pictures + group[0].failed + group[0].missing for group in groups}

    def average(method: str) -> float:
        """Infinite where it was not run on every set and trimap: ranks among other methods are no ranks among these."""
        here = [found.get((method, group)) for group in sizes]
        ranks = [row.average_rank * sizes[row.group] for row in here if row is not None]
        return sum(ranks) / sum(sizes.values()) if len(ranks) == len(here) else float("inf")

    def line(method: str) -> list[str]:
        here = [found.get((method, group)) for group in sizes]
        rank = average(method)
        cells = ["–" if rank == float("inf") else f"{rank:.2f}"]
        for row in here:
            known = row is not None and metric in row.means
            mean = figure_text(metric, row.means[metric]) if row is not None and known else "–"
            cells += [mean + ("" if row is None or row.complete else "*"), f"{row.average_rank:.2f}" if row else "–"]
        given = next((row.given for row in here if row is not None and row.given), None)
        return [method, *([given or "–"] if any(row.given for row in rows) else []), *cells]

    heading, _ = heading_and_factor(metric)
    head = ["method", *(["given"] if any(row.given for row in rows) else []), "average rank"]
    for group in groups:
        head += [", ".join(filter(None, group[0].group[:2])), "rank"]
    note = (
        f"{heading}, and ranks by it: the mean of a method's ranks on single pictures, over all pictures and trimaps "
        "and over those of a set and trimap. Methods alike share the mean of their ranks."
    )
    note += " * Not all pictures were done." if not all(row.complete for row in rows) else ""
    lines = [line(method) for method in sorted(methods, key=lambda method: (average(method), method))]
    return Table("All sets and trimaps", note, "tab:overview", head, lines)


def best(metric: str, table: Sequence[Row]) -> float | None:
    """The least value, or greatest IoU, among methods that did every picture."""
    values = [row.means[metric] for row in table if row.complete and metric in row.means]
    return (max if metric == "iou" else min)(values, default=None)


def size(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:.0f} MiB"


def by_group(rows: Sequence[Row]) -> list[list[Row]]:
    tables: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        tables.setdefault(row.group, []).append(row)
    return list(tables.values())


def _metrics(metric: str) -> list[str]:
    return list(dict.fromkeys([*(name for name, *_ in COLUMNS), metric]))


def _label(row: Row, *more: str) -> str:
    """A LaTeX label of plain characters."""
    words = [word for part in (*row.group, *more) for word in re.findall("[A-Za-z0-9]+", part)]
    return "tab:" + "-".join(words).lower()


def _cells(
    row: Row, table: Sequence[Row], metrics: Sequence[str], ranked_by: str, bold: Callable[[str], str]
) -> list[str]:
    cells = [row.method]
    for metric in metrics:
        value = row.means.get(metric)
        text = "" if value is None else figure_text(metric, value)
        cells.append(bold(text) if value is not None and row.complete and value == best(metric, table) else text)
    cells.append(interval_text(ranked_by, row.intervals[ranked_by]) if ranked_by in row.intervals else "")
    if row.behind is None:
        cells += ["", ""]
    else:
        difference, interval, p = row.behind
        far = f"{figure_text(ranked_by, difference, '+')} {interval_text(ranked_by, interval, '+')}"
        cells += [far, p_text(p)]
    cells += ["" if row.seconds is None else f"{row.seconds:.2f}", memory_text(row)]
    # A mean over fewer pictures stands under another condition, and says so in its own row.
    undone = row.failed + row.missing
    return [*cells, f"{undone} of {row.pictures + undone}" if undone else "0"]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


class _Tex(str):
    """Text that is LaTeX already."""

    __slots__ = ()


def _bold(text: str) -> str:
    return _Tex(rf"\textbf{{{text}}}")


def _tex_line(cells: Sequence[str]) -> str:
    line = " & ".join(map(_tex, cells))
    # The end of the line before would take [ and * for its own.
    return ("{}" if line.startswith(("[", "*")) else "") + line + r" \\"


def _tex(text: str) -> str:
    if isinstance(text, _Tex):
        return text
    replacements = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
        "|": r"\textbar{}",
        SHARED: r"\dag{}",
        GIVEN: r"\ddag{}",
    }
    plain = "".join(replacements.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)
    return plain.replace("--", "-{}-")  # else a dash
