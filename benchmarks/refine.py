"""What a shipped network makes of closed-form's alpha where that is unsure, by picture.

    python benchmarks/refine.py FOLDER

FOLDER is the training part of alphamatting.com in low resolution; its first trimap is used, and SAD (in thousands) is
taken over its unknown pixels. "alone" is the network as the method, without closed-form before it.
"""

from __future__ import annotations

import argparse

from common import RESULTS, heading

import trimatte
from trimatte import metrics
from trimatte.alpha.refine import refine_alpha
from trimatte.evaluation.datasets import open_dataset
from trimatte.evaluation.pictures import Trial, load_trial

NETWORKS = ("light", "hybrid")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", metavar="FOLDER")
    parser.add_argument("--limit", type=int, default=6, help="the first so many pictures")
    given = parser.parse_args()
    rows = []
    for sample in open_dataset(given.dataset).samples[: given.limit]:
        rows.append(figures(load_trial(sample, next(iter(sample.trimaps)))))
        print(rows[-1], flush=True)
    text = "\n".join(table(rows)) + "\n"
    print(text)
    (RESULTS / "refine.md").write_text(text)


def figures(trial: Trial) -> dict[str, float | str]:
    """SAD of closed-form, of it refined by each network, and of each network alone."""
    row: dict[str, float | str] = {"picture": trial.name}
    plain = trimatte.estimate_alpha(trial.image, trial.trimap).alpha
    row["closed-form"] = metrics.sad(plain, trial.alpha, trimap=trial.trimap)
    for name in NETWORKS:
        refined = refine_alpha(trial.image, trial.trimap, plain, method=name)
        row[f"refined by {name}"] = metrics.sad(refined, trial.alpha, trimap=trial.trimap)
        alone = trimatte.estimate_alpha(trial.image, trial.trimap, method=name).alpha
        row[f"{name} alone"] = metrics.sad(alone, trial.alpha, trimap=trial.trimap)
    return row


def table(rows: list[dict[str, float | str]]) -> list[str]:
    names = ["closed-form", *(f"refined by {name}" for name in NETWORKS), *(f"{name} alone" for name in NETWORKS)]
    lines = [*heading("Closed-form, refined by shipped networks"), ""]
    lines += ["SAD (in thousands) over the unknown pixels, alphamatting.com in low resolution, trimap 1.", ""]
    lines += [f"| picture | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    for row in rows:
        lines.append(f"| {row['picture']} | {' | '.join(f'{row[name]:.2f}' for name in names)} |")
    means = [sum(float(row[name]) for row in rows) / len(rows) for name in names]
    return [*lines, f"| mean | {' | '.join(f'{mean:.2f}' for mean in means)} |"]


if __name__ == "__main__":
    main()
