"""Summary rows as Markdown and LaTeX. Every table says its region and its scaling."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from trimatte.evaluation.statistics import Interval
from trimatte.evaluation.summary import Row

# Metric, heading, factor and decimals, as papers print them.
COLUMNS = (
    ("sad", "SAD", 1.0, 2),
    ("mse", "MSE", 1e3, 2),
    ("mad", "MAD", 1e3, 2),
    ("gradient", "Grad", 1.0, 2),
    ("connectivity", "Conn", 1.0, 2),
)
HEADINGS = {metric: heading for metric, heading, _, _ in COLUMNS} | {"iou": "IoU"}
_FORMATS = {metric: (factor, decimals) for metric, _, factor, decimals in COLUMNS} | {"iou": (100.0, 2)}
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
    """A metric's interval as tables print it."""
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


def markdown(rows: Sequence[Row], metric: str = "mse") -> str:
    """A table for each benchmark and trimap; `metric` has a column, whichever it is."""
    parts = []
    metrics = _metrics(metric)
    for table in _tables(rows):
        head = ["method", *(HEADINGS[m] for m in metrics), *_compared(metric), "seconds", "memory", "not done"]
        notes = " ".join(filter(None, [caption(table[0], metrics), COMPARED, memory_note(table)]))
        lines = [f"**{title(table[0])}.** {notes}", "", _line(head)]
        lines.append("| --- |" + " ---: |" * (len(head) - 1))
        lines += [_line(_cells(row, table, metrics, metric, bold=lambda text: f"**{text}**")) for row in table]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def latex(rows: Sequence[Row], metric: str = "mse") -> str:
    """A booktabs table for each benchmark and trimap; `metric` has a column, whichever it is."""
    parts = []
    metrics = _metrics(metric)
    for table in _tables(rows):
        head = ["Method", *(HEADINGS[m] for m in metrics), *_compared(metric), "Time (s)", "Memory", "Not done"]
        cells = [_cells(row, table, metrics, metric, bold=_bold) for row in table]
        notes = [title(table[0]) + ".", caption(table[0], metrics), COMPARED, memory_note(table)]
        body = [" & ".join(_tex(cell) for cell in each) + r" \\" for each in cells]
        parts.append(
            "\n".join(
                [
                    r"\begin{table}",
                    rf"\caption{{{' '.join(_tex(note) for note in notes if note)}}}",
                    rf"\label{{{_label(table[0])}}}",
                    r"\centering",
                    r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}",
                    r"\toprule",
                    " & ".join(head) + r" \\",
                    r"\midrule",
                    *body,
                    r"\bottomrule",
                    r"\end{tabular}",
                    r"\end{table}",
                ]
            )
        )
    return "\n\n".join(parts)


def best(metric: str, table: Sequence[Row]) -> float | None:
    """The least value, or greatest IoU, among methods that did every picture."""
    values = [row.means[metric] for row in table if row.complete and metric in row.means]
    return (max if metric == "iou" else min)(values, default=None)


def size(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:.0f} MiB"


def _tables(rows: Sequence[Row]) -> list[list[Row]]:
    tables: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        tables.setdefault(row.group, []).append(row)
    return list(tables.values())


def _metrics(metric: str) -> list[str]:
    return list(dict.fromkeys([*(name for name, *_ in COLUMNS), metric]))


def _compared(metric: str) -> list[str]:
    """Headings of what a row says of its rank."""
    return [f"{HEADINGS[metric]}, 95 %", "behind", "p"]


def _label(row: Row) -> str:
    """A LaTeX label of plain characters."""
    words = [word for part in row.group for word in re.findall("[A-Za-z0-9]+", part)]
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


def _tex(text: str) -> str:
    if isinstance(text, _Tex):
        return text
    replacements = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        SHARED: r"\dag{}",
        GIVEN: r"\ddag{}",
    }
    return "".join(replacements.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)
