"""Records boiled down: means with confidence intervals, ranks, and which differences are more than chance."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from trimatte.errors import ArgumentError
from trimatte.evaluation.alpha_metrics import VARIANTS
from trimatte.evaluation.records import Record
from trimatte.evaluation.statistics import Interval, holm, mean_interval, sign_flip_p

METRICS = ("sad", "mse", "mad", "gradient", "connectivity", "iou")
REGIONS = ("sad_foreground", "sad_background", "sad_transition")
COLOURS = ("foreground_sad", "foreground_mad", "foreground_mse")
"""Of foreground colours, where both they and the true ones are known."""
FURTHER = (*REGIONS, *VARIANTS, *COLOURS)
RANKED = (*METRICS, *FURTHER)
"""What methods can be ranked by."""


@dataclass(frozen=True)
class Row:
    """One method on one benchmark with one trimap.

    means, intervals : over the pictures it did, by metric; 95 % intervals, see `mean_interval`.
    pictures, failed, missing : how many it did, failed at and was not run on, though another method was. Means over
        fewer pictures compare with no others.
    seconds : mean time of a picture, None if not measured; jobs: how many were done at once.
    peak_bytes : how far the process's memory rose above its base (libraries, weights and the picture loaded, after a
        warm-up) at most, None if not measured; isolated: whether no other method ran in that process, None where
        another program says itself what it took.
    rank : by the metric that was ranked by, 1 the best; methods that did not do every picture come last.
    behind : difference to the first in rank, its 95 % interval, p of sign flips, Holm-corrected; None for the first.
    losses : of a pipeline, the SAD by stage.
    segmentation : of a probability, its figures (see `judge_stages`), means over pictures.
    given : what the method was given, "photo" or "trimap" (and the photo), None if it is not known.
    average_rank : the mean of its ranks on single pictures, by the metric that was ranked by. Methods alike share the
        mean of their ranks; on a picture that it did not do, it shares the last.
    categories : of pictures of a category, how many it did, and their mean of that metric.
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
    isolated: bool | None = None
    rank: int = 0
    behind: tuple[float, Interval, float] | None = None
    losses: dict[str, float] = field(default_factory=dict)
    segmentation: dict[str, float] = field(default_factory=dict)
    given: str | None = None
    average_rank: float = 0.0
    categories: dict[str, tuple[int, float]] = field(default_factory=dict)
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
    check_metric(metric, records)
    rows = []
    for group in grouped(records).values():
        total = len({record["picture"] for record in group})
        methods = {method: [r for r in group if r["method"] == method] for method in _methods(group)}
        ranked = sorted((_row(chosen, total) for chosen in methods.values()), key=lambda row: _order(row, metric))
        p_values = _p_values_to_first(ranked, methods, metric)
        ranks = average_ranks(group, metric)
        for rank, row in enumerate(ranked, start=1):
            behind = p_values.get(row.method)
            kinds = _categories(methods[row.method], metric)
            average = ranks[row.method]
            rows.append(replace(row, rank=rank, behind=behind, average_rank=average, categories=kinds))
    return rows


def check_metric(metric: str, records: Sequence[Record]) -> None:
    """Raise `ArgumentError` for a metric that is none, or that some records lack."""
    if metric not in RANKED:
        raise ArgumentError(f"metric: got {metric!r}, wanted one of {', '.join(RANKED)}")
    lacking = {r["method"] for r in records if r["status"] == "ok" and metric not in r["metrics"]}
    if lacking:
        raise ArgumentError(f"metric: {metric!r} was not taken of {', '.join(sorted(lacking))}")


def average_ranks(records: Sequence[Record], metric: str) -> dict[str, float]:
    """Each method's mean rank over the pictures of one group, as alphamatting.com ranks."""
    methods = _methods(records)
    worst = -np.inf if metric == "iou" else np.inf
    errors = {r["picture"]: dict.fromkeys(methods, worst) for r in records}
    for record in records:
        if record["status"] == "ok":
            errors[record["picture"]][record["method"]] = record["metrics"][metric]
    table = np.array([[row[method] for method in methods] for row in errors.values()])
    table = -table if metric == "iou" else table
    below = (table[:, :, None] > table[:, None, :]).sum(axis=2)
    alike = (table[:, :, None] == table[:, None, :]).sum(axis=2)
    return dict(zip(methods, (below + (alike + 1) / 2).mean(axis=0).tolist(), strict=True))


def _categories(records: Sequence[Record], metric: str) -> dict[str, tuple[int, float]]:
    figures: dict[str, list[float]] = {}
    for record in records:
        if record["status"] == "ok" and record.get("category"):
            figures.setdefault(record["category"], []).append(record["metrics"][metric])
    return {kind: (len(values), float(np.mean(values))) for kind, values in sorted(figures.items())}


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


_CONDITION = re.compile(r"\s*(.+)\.([\w:-]+)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")
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
    seconds = [cost["seconds"] for cost in costs if cost["seconds"] is not None]
    kinds = {cost.get("isolated", False) for cost in costs}
    isolated = kinds.pop() if len(kinds) == 1 else False
    segmentations = [record["stages"]["segmentation"] for record in done if "segmentation" in record["stages"]]
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
        seconds=float(np.mean(seconds)) if seconds else None,
        peak_bytes=_peak(costs, isolated),
        isolated=isolated,
        jobs=max(cost.get("jobs", 1) for cost in costs) if costs else None,
        losses=_means(losses),
        segmentation=_means(segmentations),
        given=first.get("given"),
        device=", ".join(dict.fromkeys(_device(record) for record in done if record["cost"])),
    )


def _means(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure that all have."""
    names = [name for name in (figures[0] if figures else ()) if all(name in each for each in figures)]
    return {name: float(np.mean([each[name] for each in figures])) for name in names}


def _peak(costs: Sequence[dict[str, Any]], isolated: bool | None) -> int | None:
    """How far memory rose above its base; of another program that gives no base, its peak."""
    known: list[tuple[int, int]] = [
        (cost["peak_bytes"], cost.get("base_bytes") or 0) for cost in costs if cost["peak_bytes"]
    ]
    if not known:
        return None
    if isolated:  # what a first picture leaves allocated is taken again by the next: base is what was before all
        return max(peak for peak, _ in known) - min(base for _, base in known)
    return max(peak - base for peak, base in known)


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
