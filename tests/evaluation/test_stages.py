"""Stage figures of a pipeline: the losses add up, and each stage is charged for its own."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from trimatte import metrics
from trimatte.evaluation.runs import evaluate
from trimatte.evaluation.stages import judge_stages
from trimatte.trimap import make_trimap

Y, X = np.mgrid[:80, :80]
TRUTH = np.clip((25 - np.hypot(Y - 40, X - 40)) / 6 + 0.5, 0, 1).astype(np.float32)


def test_perfect_stages_lose_nothing_but_what_a_trimap_must():
    trimap = make_trimap(TRUTH)
    figures = judge_stages(TRUTH, TRUTH, TRUTH, trimap, lambda t: TRUTH)
    assert figures["loss"]["total"] == 0
    assert figures["matting_alone"] == 0
    assert figures["segmentation"]["mae"] == 0
    assert figures["segmentation"]["max_f"] == pytest.approx(1, abs=0.2)


def test_each_stage_is_charged_for_its_own_error():
    trimap = make_trimap(TRUTH)
    matting_fails = np.where(trimap == 128, 1, TRUTH).astype(np.float32)
    figures = judge_stages(TRUTH, matting_fails, TRUTH, trimap)
    assert figures["loss"]["matting"] > 0
    assert figures["loss"]["segmentation"] + figures["loss"]["trimap"] == pytest.approx(0, abs=1e-6)
    # A segmenter that misses the lower half.
    missed = np.where(Y < 40, TRUTH, 0).astype(np.float32)
    cut = make_trimap(missed)
    alpha = np.where(cut == 128, TRUTH, (cut == 255).astype(np.float32)).astype(np.float32)
    loss = judge_stages(TRUTH, alpha, missed, cut)["loss"]
    assert loss["matting"] == pytest.approx(0, abs=1e-6)
    assert loss["segmentation"] > 0.5
    assert sum(loss[k] for k in ("segmentation", "trimap", "matting")) == pytest.approx(loss["total"])
    assert loss["total"] == pytest.approx(metrics.sad(alpha, TRUTH))


def test_a_trimap_that_holds_half_of_the_mixed_pixels():
    trimap = make_trimap(TRUTH).copy()
    mixed = (TRUTH > 0) & (TRUTH < 1)
    before = (trimap[mixed] == 128).mean()
    trimap[:40][trimap[:40] == 128] = 0
    figures = judge_stages(TRUTH, TRUTH, None, trimap)
    assert figures["trimap"]["covered"] == pytest.approx(before / 2, abs=0.02)
    assert figures["trimap"]["wrong"] > 0
    assert figures["trimap"]["unknown"] == pytest.approx((trimap == 128).mean())
    assert "segmentation" not in figures


def test_a_pipeline_is_judged_by_stage_and_as_a_whole(benchmark, monkeypatch):
    module = importlib.import_module("trimatte.cutout")  # as an attribute it is the function

    def by_brightness(image, **_):
        return np.clip(image.mean(axis=2), 0, 1).astype(np.float32)

    monkeypatch.setattr(module, "segment", by_brightness)
    evaluation = evaluate(benchmark, ["cutout:lite+closed-form"], limit=1)
    record = evaluation.records[0]
    assert record["error"] is None
    assert set(record["stages"]) == {"segmentation", "trimap", "matting_alone", "loss"}
    assert record["trimap"] == "trimap"
    assert {"foreground_sad", "foreground_mse"} <= set(record["metrics"])
    assert record["cost"]["stages"]["segment"] >= 0
