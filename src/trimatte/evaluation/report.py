"""Runs to one self-contained HTML page."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trimatte.errors import ArgumentError, MissingExtraError
from trimatte.evaluation.records import Fingerprints, Record, fingerprints, read_records, same_set
from trimatte.evaluation.summary import METRICS, Row, grouped, significance, summarize
from trimatte.evaluation.tables import (
    HEADINGS,
    best,
    caption,
    figure_text,
    group_supplements,
    interval_text,
    memory_note,
    memory_text,
    overview,
    p_text,
    title,
)


def load_runs(
    folders: Sequence[str | os.PathLike[str]],
    methods: Sequence[str] = (),
    categories: Mapping[str, str] | None = None,
) -> list[Record]:
    """The records of several runs, with the run's folder as "run" and the method's name in it as "kept".

    A run may be its records' file alone. Of `methods` only, if any are named. A method that was measured on the same
    set in two runs is told apart as "METHOD [RUN]", and two sets of one layout as "SET [RUN]", with the set's own name
    as "set". `categories`, picture to category, replace the set's own.
    Raises ArgumentError for a folder without records, and for a method without any.
    """
    runs = {os.fspath(folder): read_records(folder) for folder in folders}
    for folder, records in runs.items():
        if not records:
            raise ArgumentError(f"run: {folder!r} holds no records")
    if methods:
        there = {record["method"] for records in runs.values() for record in records}
        if strange := [method for method in methods if method not in there]:
            raise ArgumentError(f"methods: there is no {', '.join(strange)} here, but {', '.join(sorted(there))}")
        runs = {run: [record for record in records if record["method"] in methods] for run, records in runs.items()}
    names = _short_names(list(runs))
    prints = {run: fingerprints(records) for run, records in runs.items()}
    runs = {run: _named_apart(records, prints[run], prints, names[run]) for run, records in runs.items()}
    keys = [{(r["dataset"], r["trimap"], r["region"], r["method"]) for r in records} for records in runs.values()]
    repeated = {m for i, a in enumerate(keys) for b in keys[i + 1 :] for *_, m in a & b}
    labelled = []
    for folder, records in runs.items():
        for record in records:
            method = record["method"]
            label = f"{method} [{names[folder]}]" if method in repeated else method
            own = {} if categories is None else {"category": categories.get(record["picture"])}
            labelled.append({**record, **own, "method": label, "kept": method, "run": folder})
    return labelled


def _named_apart(
    records: Sequence[Record],
    own: Mapping[str, Fingerprints],
    prints: Mapping[str, Mapping[str, Fingerprints]],
    short: str,
) -> list[Record]:
    """A run's records, with the run's name after a set's where another run has another set of the same name."""
    shared = {
        name
        for sets in prints.values()
        for name, pictures in sets.items()
        if name in own and not same_set(own[name], pictures)
    }
    return [
        {**record, "set": name, "dataset": f"{name} [{short}]" if name in shared else name}
        for record in records
        for name in (record["dataset"],)
    ]


def html_report(
    folders: Sequence[str | os.PathLike[str]],
    *,
    metric: str = "mse",
    heading: str | None = None,
    methods: Sequence[str] = (),
    categories: Mapping[str, str] | None = None,
) -> str:
    """One HTML page that needs no network: ranking, significance, cost, every picture, worst crops, disagreement.

    Of `methods` only, if any are named; else of all. `categories` says of what kind each picture is. Raises
    ArgumentError for a folder without records,
    MissingExtraError without the extra `eval`.
    """
    environment = _environment()
    records = load_runs(folders, methods, categories)
    rows = summarize(records, metric)
    groups = [
        _group(group, [row for row in rows if row.group == about], metric) for about, group in grouped(records).items()
    ]
    text: str = environment.get_template("report.html.j2").render(
        title=heading or "Comparison of " + ", ".join(dict.fromkeys(g["title"].partition(",")[0] for g in groups)),
        headings=HEADINGS,
        metric=metric,
        alerts=_alerts(records),
        failures=[record for record in records if record["status"] == "failed"],
        groups=groups,
        overview=overview(rows, metric),
        provenance=_provenance(records),
    )
    return text


def _environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("a report needs jinja2: pip install 'trimatte[eval]'") from error
    loader = jinja2.PackageLoader("trimatte.evaluation")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(name: str) -> Any:
    """A method's name that a narrow column may break where its parts meet."""
    from markupsafe import Markup, escape

    return Markup(re.sub("([:+;_=])", r"\1<wbr>", str(escape(name))))


def _group(records: list[Record], rows: list[Row], metric: str) -> dict[str, Any]:
    from trimatte.evaluation.exhibits import disagreement, exhibits
    from trimatte.evaluation.plots import cost_against_quality

    columns = list(dict.fromkeys([*(m for m in METRICS if any(m in row.means for row in rows)), metric]))
    methods = [row.method for row in rows]
    plots = [
        {"svg": svg, "label": f"{HEADINGS[metric]} against {cost}"}
        for cost in ("seconds", "peak_bytes")
        if (svg := cost_against_quality(rows, metric, cost))
    ]
    by_rank = sorted(records, key=lambda record: methods.index(record["method"]))
    shown, missing = exhibits(by_rank, metric)
    names, percent = disagreement(records)
    order = [names.index(method) for method in methods]
    return {
        "title": title(rows[0]),
        "caption": caption(rows[0], columns),
        "columns": [{"metric": m, "heading": HEADINGS[m]} for m in columns],
        "methods": methods,
        "rows": [_ranked(row, rows, columns, metric) for row in rows],
        "plots": plots,
        "cost_note": _cost_note(rows),
        "supplements": group_supplements(rows, metric),
        "pairs": _pairs(records, methods, metric),
        "losses": _losses(records, rows),
        "pictures": _pictures(records, methods, columns, metric),
        "exhibits": shown,
        "missing": missing,
        "disagreement": {
            "methods": methods,
            "rows": [
                (names[i], ["–" if i == j else f"{percent[i, j]:.2f}" if percent[i, j] else "" for j in order])
                for i in order
            ],
        }
        if len(methods) > 1 and percent.any()
        else None,
    }


def _ranked(row: Row, table: list[Row], columns: Sequence[str], metric: str) -> dict[str, Any]:
    def cell(name: str) -> dict[str, Any] | None:
        if name not in row.means:
            return None
        is_best = row.complete and row.means[name] == best(name, table)
        return {
            "mean": figure_text(name, row.means[name]),
            "interval": interval_text(name, row.intervals[name]),
            "best": is_best,
        }

    behind = None
    if row.behind is not None:
        difference, interval, p = row.behind
        behind = {
            "difference": figure_text(metric, difference, sign="+"),
            "interval": interval_text(metric, interval, sign="+"),
            "p": p_text(p),
            "significant": p < 0.05,
        }
    return {
        "method": row.method,
        "given": row.given,
        "device": row.device,
        "rank": row.rank,
        "cells": [cell(name) for name in columns],
        "behind": behind,
        "seconds": None if row.seconds is None else f"{row.seconds:.2f}",
        "memory": memory_text(row),
        "pictures": row.pictures,
        "undone": [(count, word) for count, word in ((row.failed, "failed"), (row.missing, "not run")) if count],
    }


def _pairs(records: list[Record], methods: list[str], metric: str) -> list[tuple[str, list[str]]]:
    tests = significance(records, metric)
    if len(methods) < 3:
        return []  # the ranking says it already

    def cell(a: str, b: str) -> str:
        sign = 1
        if (a, b) not in tests:
            a, b, sign = b, a, -1
        if (a, b) not in tests:
            return "–"
        difference, _, p = tests[a, b]
        return figure_text(metric, sign * difference, sign="+") + (" ●" if p < 0.05 else " ○")

    return [(a, [cell(a, b) for b in methods]) for a in methods]


def _losses(records: list[Record], rows: list[Row]) -> list[tuple[str, list[str]]]:
    lines = []
    for row in rows:
        if not row.losses:
            continue
        stages = [r["stages"] for r in records if r["method"] == row.method and "loss" in r["stages"]]
        figures: list[Callable[[dict[str, Any]], float | None]] = [
            lambda s: s.get("matting_alone"),
            lambda s: s.get("segmentation", {}).get("mae"),
            lambda s: s.get("segmentation", {}).get("iou"),
            lambda s: s["trimap"]["covered"],
        ]
        cells = [figure_text("sad", row.losses[name]) for name in ("segmentation", "trimap", "matting", "total")]
        lines.append((row.method, cells + [_mean(map(figure, stages)) for figure in figures]))
    return lines


def _mean(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3f}" if known else "–"


def _pictures(
    records: list[Record], methods: list[str], columns: Sequence[str], metric: str
) -> list[tuple[str, list[dict[str, Any]]]]:
    cells: dict[str, dict[str, Record]] = {}
    for record in records:
        cells.setdefault(record["picture"], {})[record["method"]] = record
    lines = []
    for picture, by_method in cells.items():
        done = [r["metrics"][metric] for r in by_method.values() if r["status"] == "ok"]
        top = (max(done) if metric == "iou" else min(done)) if done else None
        lines.append((picture, [_picture_cell(by_method.get(m), columns, metric, top) for m in methods]))
    return lines


def _picture_cell(record: Record | None, columns: Sequence[str], metric: str, top: float | None) -> dict[str, Any]:
    if record is None:
        return {"text": "", "figures": "", "failed": False, "best": False}
    if record["status"] == "failed":
        return {"text": "failed", "figures": "", "failed": True, "best": False}
    values = {name: figure_text(name, record["metrics"][name]) for name in columns if name in record["metrics"]}
    is_best = record["metrics"][metric] == top
    return {"text": values[metric], "figures": json.dumps(values), "failed": False, "best": is_best}


def _alerts(records: Sequence[Record]) -> list[str]:
    alerts = []
    for what, values in (
        ("machines", {json.dumps(r["machine"], sort_keys=True) for r in records}),
        ("versions", {json.dumps(r["versions"], sort_keys=True) for r in records}),
        ("commits", {r["commit"] for r in records}),
    ):
        if len(values) > 1:
            alerts.append(
                f"These records come from {len(values)} different {what}: compare times, and figures, with care."
            )
    return alerts


def _cost_note(rows: Sequence[Row]) -> str:
    jobs = {row.jobs for row in rows if row.jobs}
    if not jobs:
        return ""
    alone = "One picture at a time, after a warm-up."
    together = f"Measured with up to {max(jobs)} pictures at the same time: times are not comparable."
    return f"{alone if jobs == {1} else together} {memory_note(rows)}"


def _provenance(records: Sequence[Record]) -> list[tuple[str, str]]:
    lines = []
    for name, values in (
        ("machine", [f"{r['machine']['processor']}, {r['machine']['threads']} threads" for r in records]),
        ("versions", [", ".join(f"{k} {v}" for k, v in sorted(r["versions"].items())) for r in records]),
        ("commit", [r["commit"] or "not a checkout" for r in records]),
        ("trimaps made", [f"{r['trimap']}, seed {r['trimap_rule']['seed']}" for r in records if r["trimap_rule"]]),
    ):
        lines += [(name, value) for value in dict.fromkeys(values)]
    intervals = "95 %, studentised bootstrap of 10,000 resamples; pictures that share an alpha are drawn together"
    tests = "exact sign flips of the pictures' differences, p corrected by Holm's method"
    return [*lines, ("intervals", intervals), ("tests", tests)]


def _short_names(folders: list[str]) -> dict[str, str]:
    last = {folder: Path(folder).name for folder in folders}
    return last if len(set(last.values())) == len(last) else {folder: folder for folder in folders}
