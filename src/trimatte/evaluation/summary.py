"""Records boiled down: means with confidence intervals, ranks, and which differences are more than chance."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from trimatte.errors import ArgumentError
from trimatte.evaluation.records import Record
from trimatte.evaluation.statistics import Interval, holm, mean_interval, sign_flip_p

METRICS = ("sad", "mse", "mad", "gradient", "connectivity", "iou")


@dataclass(frozen=True)
class Row:
    """One method on one benchmark with one trimap.

    means, intervals : over the pictures it did, by metric; 95 % intervals, see `mean_interval`.
    pictures, failed, missing : how many it did, failed at and was not run on, though another method was. Means over
        fewer pictures compare with no others.
    seconds, peak_bytes : mean time and greatest memory of a picture, None if not measured; jobs: done how many at once.
    rank : by the metric that was ranked by, 1 the best; methods that did not do every picture come last.
    behind : difference to the first in rank, its 95 % interval, p of sign flips, Holm-corrected; None for the first.
    losses : of a pipeline, the SAD by stage.
    given : what it got to see, in words; empty in records that do not tell.
    device : where it ran, such as "cpu"; empty if it was not measured.
    """

    dataset: str
    trimap: str | None
    region: str
    method: str
    pictures: int
    failed: int
    missing: int
    means: dict[str, float]
    intervals: dict[str, Interval]
    seconds: float | None
    peak_bytes: int | None
    jobs: int | None
    rank: int = 0
    behind: tuple[float, Interval, float] | None = None
    losses: dict[str, float] = field(default_factory=dict)
    given: str = ""
    device: str = ""

    @property
    def complete(self) -> bool:
        """Whether it did every picture, so that its means compare with others'."""
        return self.failed == self.missing == 0

    @property
    def group(self) -> tuple[str, str, str]:
        return (self.dataset, self.trimap or "", self.region)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def summarize(records: Sequence[Record], metric: str = "mse") -> list[Row]:
    """One row a benchmark, trimap and method, best first within each benchmark and trimap."""
    if metric not in METRICS:
        raise ArgumentError(f"metric: got {metric!r}, wanted one of {', '.join(METRICS)}")
    rows = []
    for group in grouped(records).values():
        total = len({record["picture"] for record in group})
        methods = {method: [r for r in group if r["method"] == method] for method in _methods(group)}
        ranked = sorted((_row(chosen, total) for chosen in methods.values()), key=lambda row: _order(row, metric))
        p_values = _p_values_to_first(ranked, methods, metric)
        for rank, row in enumerate(ranked, start=1):
            behind = p_values.get(row.method)
            rows.append(Row(**{**row.__dict__, "rank": rank, "behind": behind}))
    return rows


def grouped(records: Sequence[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """Records by (data set, trimap, region): what may be compared."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record["dataset"], record["trimap"] or "", record["region"]), []).append(record)
    return groups


def significance(records: Sequence[Record], metric: str) -> dict[tuple[str, str], tuple[float, Interval, float]]:
    """For each pair of methods of one group: mean difference (first minus second), 95 % interval, Holm-corrected p."""
    methods = _methods(records)
    pairs = [(a, b) for i, a in enumerate(methods) for b in methods[i + 1 :]]
    tests = {pair: test for pair in pairs if (test := _compare(records, *pair, metric))}
    return _holm(tests)


def check_conditions(rows: Sequence[Row], conditions: Sequence[str]) -> list[str]:
    """Conditions such as "closed-form.mse > 0.022" that hold, in words.

    A method that did not do every picture has no figure, so any condition on it holds. Raises ArgumentError for a
    condition that cannot be read, or names a method or a metric that is not there.
    """
    return [words for condition in conditions for words in _held(rows, condition)]


_CONDITION = re.compile(r"\s*(.+)\.(\w+)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")
_COMPARE = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


def _held(rows: Sequence[Row], condition: str) -> list[str]:
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise ArgumentError(f"fail-if: got {condition!r}, wanted such as closed-form.mse > 0.022")
    method, metric, sign, limit = match.groups()
    chosen = [row for row in rows if row.method == method]
    if not chosen:
        raise ArgumentError(f"fail-if: no method {method!r} here, but {', '.join(sorted({r.method for r in rows}))}")
    held = []
    for row in chosen:
        where = f"{method} on {row.dataset}{', ' + row.trimap if row.trimap else ''}"
        figures: dict[str, float | None] = {**row.means, "seconds": row.seconds, "peak_bytes": row.peak_bytes}
        if not row.complete:
            held.append(f"{where}: {row.failed} pictures failed and {row.missing} were not run, so it has no {metric}")
        elif (value := figures.get(metric)) is None:
            known = ", ".join(name for name, figure in figures.items() if figure is not None)
            raise ArgumentError(f"fail-if: {method!r} has no {metric!r}, but {known}")
        elif _COMPARE[sign](value, float(limit)):
            held.append(f"{where}: {metric} is {value:.6g}: {condition.strip()}")
    return held


def _methods(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(record["method"] for record in records))


def _row(records: Sequence[Record], total: int) -> Row:
    done = [record for record in records if record["status"] == "ok"]
    means, intervals = {}, {}
    # Every metric that all of its pictures have, so that a mean is always over all of them.
    names = [m for m in (done[0]["metrics"] if done else ()) if all(m in record["metrics"] for record in done)]
    for name in names:
        values = np.array([record["metrics"][name] for record in done])
        means[name], intervals[name] = float(values.mean()), _within(name, mean_interval(values, _clusters(done)))
    costs = [record["cost"] for record in done if record["cost"]]
    peaks = [cost["peak_bytes"] for cost in costs if cost["peak_bytes"]]
    losses = [record["stages"]["loss"] for record in done if "loss" in record["stages"]]
    first = records[0]
    return Row(
        dataset=first["dataset"],
        trimap=first["trimap"],
        region=first["region"],
        method=first["method"],
        pictures=len(done),
        failed=len(records) - len(done),
        missing=total - len(records),
        means=means,
        intervals=intervals,
        seconds=float(np.mean([cost["seconds"] for cost in costs])) if costs else None,
        peak_bytes=max(peaks) if peaks else None,
        jobs=max(cost.get("jobs", 1) for cost in costs) if costs else None,
        losses={name: float(np.mean([loss[name] for loss in losses])) for name in losses[0]} if losses else {},
        given=first.get("given", ""),
        device=", ".join(dict.fromkeys(_device(record) for record in done if record["cost"])),
    )


def _device(record: Record) -> str:
    """Where a method ran: as its report, or a pipeline's report of its alpha method, says, or else on the CPU."""
    report = record.get("report", {})
    device: str = report.get("device") or report.get("alpha", {}).get("device") or "cpu"
    return device


def _within(metric: str, interval: Interval) -> Interval:
    """An interval cut to what the metric can be."""
    return max(0.0, interval[0]), min(1.0, interval[1]) if metric == "iou" else interval[1]


def _order(row: Row, metric: str) -> tuple[bool, float, str]:
    value = row.means.get(metric, np.inf)
    return (not row.complete, -value if metric == "iou" else value, row.method)


def _clusters(records: Sequence[Record]) -> list[str]:
    return [record["inputs"].get("alpha") or record["picture"] for record in records]


def _p_values_to_first(
    ranked: Sequence[Row], methods: dict[str, list[Record]], metric: str
) -> dict[str, tuple[float, Interval, float]]:
    first = ranked[0].method
    tests = {}
    for row in ranked[1:]:
        if test := _compare([*methods[first], *methods[row.method]], row.method, first, metric):
            tests[(row.method, first)] = test
    return {pair[0]: test for pair, test in _holm(tests).items()}


def _compare(records: Sequence[Record], first: str, second: str, metric: str) -> tuple[float, Interval, float] | None:
    """First minus second over the pictures that both did; None if those are fewer than two."""
    done = {(r["method"], r["picture"]): r for r in records if r["status"] == "ok"}
    both = [(done[first, p], done[second, p]) for m, p in done if m == first and (second, p) in done]
    if len(both) < 2:
        return None
    differences = np.array([a["metrics"][metric] - b["metrics"][metric] for a, b in both])
    clusters = _clusters([a for a, _ in both])
    return float(differences.mean()), mean_interval(differences, clusters), sign_flip_p(differences, clusters)


def _holm(
    tests: dict[tuple[str, str], tuple[float, Interval, float]],
) -> dict[tuple[str, str], tuple[float, Interval, float]]:
    """The same tests with p corrected for their number (Holm, 1979)."""
    corrected = holm([p for _, _, p in tests.values()])
    return {pair: (*test[:2], p) for (pair, test), p in zip(tests.items(), corrected, strict=True)}
