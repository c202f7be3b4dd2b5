"""What the benchmark scripts share: run methods each in a process of its own, and write down what came out.

Mattes and records go to runs/NAME (not under version control); the tables, with date, machine and commit, and the
records go to benchmarks/results. A script that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trimatte.alpha.methods import METHODS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
RUNS = ROOT / "runs"

OURS = [name for name, row in METHODS.items() if row.ready]
PYMATTING = [f"pymatting:{name}" for name in ("cf", "knn", "lbdm", "lkm", "rw", "sm")]


def arguments(description: str | None, *, dataset: bool = True) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if dataset:
        parser.add_argument("dataset", help="the benchmark's folder")
    parser.add_argument("--methods", nargs="+", help="instead of all")
    parser.add_argument("--limit", type=int, help="only the first pictures, to try the script")
    return parser


def measure(
    name: str, dataset: str, methods: Sequence[str], *options: str, limit: int | None = None, heading: str
) -> Path:
    """Evaluate each method in a fresh process, so that none inherits another's memory; then write the results."""
    run = RUNS / name
    for method in methods:
        trimatte("evaluate", dataset, "--methods", method, "--out", str(run), *_limited(limit), *options)
    publish(name, run, heading, limit)
    return run


def trimatte(*words: str) -> None:
    """The command line. A failed picture is in the records and the tables, and does not stop the rest."""
    print("trimatte", *words, flush=True)
    done = subprocess.run([sys.executable, "-m", "trimatte", *words], cwd=ROOT)
    if done.returncode not in (0, 1):
        raise SystemExit(done.returncode)


def publish(name: str, run: Path, title: str, limit: int | None = None) -> None:
    """benchmarks/results/NAME.md and .jsonl, and runs/NAME/report.html. What was only tried stays in runs/."""
    from trimatte.evaluation.records import read_records
    from trimatte.evaluation.summary import summarize
    from trimatte.evaluation.tables import markdown

    records = read_records(run)
    if not records:
        raise SystemExit(f"{name}: nothing was recorded")
    results = RESULTS if limit is None else run
    results.mkdir(exist_ok=True)
    machines = sorted({f"{r['machine']['processor']}, {r['machine']['threads']} threads" for r in records})
    commits = sorted({r["commit"] or "no checkout" for r in records})
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    origin = f"Recorded {today} on {'; '.join(machines)}; commit {', '.join(commits)}."
    parts = [f"# {title}", origin, markdown(summarize(records)), *not_done(records)]
    (results / f"{name}.md").write_text("\n\n".join(parts) + "\n")
    shutil.copy(run / "records.jsonl", results / f"{name}.jsonl")
    trimatte("compare", str(run), "-o", str(run / "report.html"), "--title", title)
    print(results / f"{name}.md")


def not_done(records: Sequence[dict[str, Any]]) -> list[str]:
    """Why pictures were not done, if any were not: a list, one line a method and reason."""
    pictures: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if record["status"] == "failed":
            pictures.setdefault((record["method"], record["error"]), []).append(record["picture"])
    lines = [f"- {method} on {', '.join(names)}: {error}" for (method, error), names in pictures.items()]
    return ["Not done:", "\n".join(lines)] if lines else []


def heading(title: str) -> Iterator[str]:
    """The head of a table's page: title, date, machine, commit and the packages that decide times."""
    from trimatte.evaluation.cost import surroundings

    about = surroundings()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    machine, versions = about["machine"], about["versions"]
    packages = ", ".join(f"{name} {versions[name]}" for name in ("numpy", "numba", "pymatting"))
    yield from (f"# {title}", "")
    yield (
        f"Recorded {today} on {machine['processor']}, {machine['threads']} threads; "
        f"commit {about['commit'] or 'unknown'}; {packages}."
    )


def _limited(limit: int | None) -> list[str]:
    return [] if limit is None else ["--limit", str(limit)]
