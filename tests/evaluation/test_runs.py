"""Runs: what is recorded, that nothing is lost or counted twice, and what failures look like."""

from __future__ import annotations

import copy
import errno
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_methods import by_brightness, dies_on_tall, evaluate_toys, half, leaves_or_panics, which_process

from trimatte import metrics
from trimatte.errors import ArgumentError, ImageWriteError
from trimatte.evaluation import records as records_module
from trimatte.evaluation.categories import categories_of, read_categories
from trimatte.evaluation.cost import metered
from trimatte.evaluation.datasets import open_dataset
from trimatte.evaluation.folders import open_folder
from trimatte.evaluation.pictures import load_trial
from trimatte.evaluation.records import export, read_records
from trimatte.evaluation.runs import evaluate
from trimatte.evaluation.summary import summarize
from trimatte.evaluation.verify import verify
from trimatte.images import as_image

TOYS = {"bright": by_brightness, "half": half}


def timeless(records):
    """Records without what differs from run to run."""
    copies = copy.deepcopy(list(records))
    for record in copies:
        record.pop("cost")
        record.pop("commit")  # of a checkout that is being worked in
    return copies


def test_a_record_says_everything(benchmark, tmp_path):
    evaluation = evaluate(benchmark, {"closed": "closed-form", **TOYS}, out=tmp_path)
    assert len(evaluation.records) == 9
    assert evaluation.failures == ()
    assert read_records(tmp_path) == list(evaluation.records)
    record = next(r for r in evaluation.records if (r["method"], r["picture"]) == ("closed", "hair_0000"))
    assert (record["dataset"], record["trimap"], record["region"]) == ("scenes", "trimap", "unknown")
    assert record["size"] == [64, 80]
    assert set(record["inputs"]) == {"image", "alpha", "foreground", "trimap"}
    assert {"python", "trimatte", "numpy"} <= set(record["versions"])
    assert record["machine"]["threads"] >= 1
    assert record["report"]["method"] == "closed-form"
    assert record["cost"]["seconds"] > 0
    assert record["cost"]["jobs"] == 1
    codes = np.asarray(Image.open(tmp_path / "alpha" / "trimap" / "closed" / "hair_0000.png"))
    trimap = Image.open(benchmark / "trimap" / "hair_0000.png")
    expected = metrics.measure(codes, benchmark / "alpha" / "hair_0000.png", trimap=trimap)
    assert {k: record["metrics"][k] for k in expected} == expected
    assert evaluation.mean("mse", "closed") == pytest.approx(
        np.mean([r["metrics"]["mse"] for r in evaluation.records if r["method"] == "closed"])
    )


def test_variants_regions_categories_and_what_was_given(benchmark, tmp_path):
    names = ["gradient:gaussian-filter", "connectivity:float64"]
    methods = {**TOYS, "closed": "closed-form"}
    plain = evaluate(benchmark, methods, out=tmp_path, limit=1)
    assert not set(names) & set(plain.records[0]["metrics"])
    new = []
    again = evaluate(benchmark, methods, out=tmp_path, limit=1, variants=names, progress=lambda r, *_: new.append(r))
    assert len(new) == 3  # what was recorded lacks them
    for r in again.records:
        codes = np.asarray(Image.open(tmp_path / "alpha" / "trimap" / r["method"] / f"{r['picture']}.png"))
        arguments = codes, benchmark / "alpha" / f"{r['picture']}.png"
        trimap = benchmark / "trimap" / f"{r['picture']}.png"
        gradient = metrics.gradient_error(*arguments, trimap=trimap, variant="gaussian-filter")
        assert r["metrics"]["gradient:gaussian-filter"] == gradient
        regions = metrics.sad_by_region(*arguments, trimap=trimap)
        assert {name: r["metrics"][name] for name in regions} == regions
        assert (r["category"], r["given"]) == (r["picture"].partition("_")[0], "trimap")
    assert evaluate(benchmark, TOYS, trimaps=[], region="whole", limit=1).records[0]["given"] == "photo"
    with pytest.raises(ArgumentError, match="variants: got 'ssim'"):
        evaluate(benchmark, TOYS, variants=["ssim"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("categories.csv", "a,hair\nb\n", "got the line 'b'"),
        ("categories.csv", "a,\n", "of another form"),
        ("categories.json", "[1]", "of another form"),
        ("categories.json", "{", "Expecting"),
    ],
)
def test_lists_of_categories(benchmark, tmp_path, name, content, message):
    good = {
        "categories.csv": "picture,category\na,hair\n\nb, glass\n",
        "categories.json": '{"a": "hair", "b": "glass"}',
    }
    (tmp_path / name).write_text(good[name])
    assert read_categories(tmp_path / name) == {"a": "hair", "b": "glass"}
    assert categories_of(open_folder(tmp_path)) == {"a": "hair", "b": "glass"}
    (tmp_path / name).write_text(content)
    with pytest.raises(ArgumentError, match=f"categories: .*{message}.*; wanted CSV"):
        read_categories(tmp_path / name)
    with pytest.raises(ArgumentError, match="cannot read"):
        read_categories(tmp_path / "none.csv")


def test_trimaps_and_regions(benchmark):
    made = evaluate(benchmark, TOYS, trimaps=["made:2-3", "trimap"], limit=1)
    assert {r["trimap"] for r in made.records} == {"made:2-3", "trimap"}
    assert {r["trimap_rule"] is not None for r in made.records if r["trimap"] == "made:2-3"} == {True}
    whole = evaluate(benchmark, TOYS, region="whole", limit=1)
    assert {r["region"] for r in whole.records} == {"whole"}
    assert whole.mean("sad", "half") > made.mean("sad", "half", "trimap")
    with pytest.raises(ArgumentError, match=r"trimaps.*trimap, made"):
        evaluate(benchmark, TOYS, trimaps=["trimap7"])


def test_predictions_with_a_hole(benchmark, tmp_path):
    (tmp_path / "theirs" / "trimap").mkdir(parents=True)
    for name in ("hair_0000", "hard_0000"):
        Image.open(benchmark / "alpha" / f"{name}.png").save(tmp_path / "theirs" / f"{name}.png")
    Image.fromarray(np.zeros((64, 80), np.uint8)).save(tmp_path / "theirs" / "trimap" / "hard_0000.png")
    (tmp_path / "theirs" / "cost.json").write_text('{"hair_0000": {"seconds": 1.5, "peak_bytes": 1000000}}')
    out = tmp_path / "run"
    evaluation = evaluate(benchmark, out=out, predictions={"theirs": tmp_path / "theirs"})
    by_picture = {r["picture"]: r for r in evaluation.records}
    assert by_picture["hair_0000"]["metrics"]["sad"] == 0
    assert by_picture["hard_0000"]["metrics"]["sad"] > 0  # the one for this trimap goes first
    assert by_picture["hair_0000"]["cost"]["seconds"] == 1.5
    assert by_picture["hard_0000"]["cost"] == {}
    assert "holds no result for glass_0000" in by_picture["glass_0000"]["error"]
    assert evaluation.failures == (by_picture["glass_0000"],)
    with pytest.raises(ArgumentError, match="failures"):
        evaluation.mean("sad", "theirs")
    # Once the hole is filled the run goes on; what changed is computed anew.
    Image.open(benchmark / "alpha" / "glass_0000.png").save(tmp_path / "theirs" / "glass_0000.png")
    Image.open(benchmark / "alpha" / "hard_0000.png").save(tmp_path / "theirs" / "trimap" / "hard_0000.png")
    new = []
    again = evaluate(
        benchmark, out=out, predictions={"theirs": tmp_path / "theirs"}, progress=lambda r, *_: new.append(r["picture"])
    )
    assert sorted(new) == ["glass_0000", "hard_0000"]
    assert again.mean("sad", "theirs") == 0
    assert len(read_records(out)) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[1]", "holds a list"),
        ("2.5", "holds a number"),
        ('{"hair_0000": 1.5}', "hair_0000 has a number"),
        ('{"hair_0000": null}', "hair_0000 has a null"),
        ('{"seconds": {"hair_0000": 1.5}}', "seconds has the entry 'hair_0000'"),
        ('{"hair_0000": {"seconds": "1.5"}}', "hair_0000 has seconds '1.5'"),
        ('{"hair_0000": {"seconds": -1}}', "hair_0000 has seconds -1"),
        ('{"hair_0000": {"seconds": NaN}}', "hair_0000 has seconds nan"),
        ('{"hair_0000": {"seconds": true}}', "hair_0000 has seconds True"),
        ('{"hair_0000": {"peak_bytes": 1.5}}', r"hair_0000 has peak_bytes 1\.5"),
        ('{"hair_0000": {"peak_bytes": 1, "base_bytes": 2}}', "hair_0000 has base_bytes 2, more than its peak_bytes 1"),
        ('{"hair_0000.png": {"seconds": 1}}', r"'hair_0000\.png' names no result, such as 'hair_0000'"),
    ],
)
def test_costs_of_another_form_are_refused_at_once(benchmark, tmp_path, content, message):
    Image.open(benchmark / "alpha" / "hair_0000.png").save(tmp_path / "hair_0000.png")
    (tmp_path / "cost.json").write_text(content)
    with pytest.raises(ArgumentError, match=rf"predictions: cost\.json .*{message}.*; wanted {{\"PICTURE\""):
        evaluate(benchmark, predictions={"theirs": tmp_path}, limit=1)


def short_set(benchmark, root, turned=False):
    """The scenes as alphamatting.com's folders, GT01 to GT03."""
    for ours, theirs in (("image", "input"), ("alpha", "gt"), ("trimap", "trimap1")):
        (root / theirs).mkdir(parents=True)
        for number, path in enumerate(sorted((benchmark / ours).iterdir()), 1):
            with Image.open(path) as picture:
                (picture.rotate(180) if turned else picture).save(root / theirs / f"GT0{number}.png")
    return root


def test_another_set_of_one_name_does_not_take_the_place_of_the_first(benchmark, tmp_path):
    one = short_set(benchmark, tmp_path / "one")
    other = short_set(benchmark, tmp_path / "other", turned=True)
    evaluate(one, TOYS, out=tmp_path / "run")
    before = (tmp_path / "run/records.jsonl").read_bytes()
    with pytest.raises(ArgumentError, match=r"out: .*run' has figures of alphamatting-short in .*one'.*of its own"):
        evaluate(other, TOYS, out=tmp_path / "run")
    assert (tmp_path / "run/records.jsonl").read_bytes() == before
    # Once it has moved the first is still the first, and so is a part of it.
    one.rename(tmp_path / "moved")
    new = []
    evaluate(tmp_path / "moved", TOYS, out=tmp_path / "run", limit=2, progress=lambda *_: new.append(_))
    assert not new


def test_results_of_another_segmenter_on_masks(benchmark, tmp_path):
    (tmp_path / "set/image").mkdir(parents=True)
    (tmp_path / "set/mask").mkdir()
    shutil.copy(benchmark / "image/hard_0000.png", tmp_path / "set/image/a.png")
    mask = np.asarray(Image.open(benchmark / "alpha/hard_0000.png")) >= 128
    Image.fromarray(mask).save(tmp_path / "set/mask/a.png")
    (tmp_path / "theirs").mkdir()
    found = np.where(mask, np.uint8(200), np.uint8(30))
    Image.fromarray(found).save(tmp_path / "theirs/a.png")
    dataset = open_dataset(tmp_path / "set")
    assert (dataset.layout.name, dataset.name) == ("masks", "set")
    assert not verify(dataset)
    (record,) = evaluate(dataset, predictions={"theirs": tmp_path / "theirs"}).records
    assert record["stages"]["segmentation"]["s_measure"] == pytest.approx(metrics.s_measure(found, mask))
    assert record["stages"]["segmentation"]["iou"] == 1
    # With a trimap it is a matting method's result, and no segmenter's.
    (record,) = evaluate(dataset, predictions={"theirs": tmp_path / "theirs"}, trimaps=["made:2-2"]).records
    assert "segmentation" not in record["stages"]


def test_colours_of_a_plain_folder(benchmark, tmp_path):
    for role in ("image", "alpha", "trimap", "foreground"):
        (tmp_path / role).mkdir()
        shutil.copy(benchmark / role / "hard_0000.png", tmp_path / role / "a.png")
    dataset = open_dataset(tmp_path)
    assert dataset.layout.name == "plain"
    true = load_trial(dataset.samples[0]).foreground
    assert true is not None
    np.testing.assert_array_equal(true, as_image(tmp_path / "foreground/a.png"))


def test_costs_by_trimap_and_in_part(benchmark, tmp_path):
    for name in ("glass_0000", "hair_0000", "hard_0000"):
        Image.open(benchmark / "alpha" / f"{name}.png").save(tmp_path / f"{name}.png")
    costs = {"hair_0000": {"seconds": 1}, "trimap/hair_0000": {"seconds": 3}, "hard_0000": {"peak_bytes": 2**20}}
    (tmp_path / "cost.json").write_text(json.dumps(costs))
    evaluation = evaluate(benchmark, predictions={"theirs": tmp_path}, trimaps=["trimap", "made"])
    found = {(r["trimap"], r["picture"]): r["cost"].get("seconds") for r in evaluation.records}
    assert found["trimap", "hair_0000"] == 3
    assert found["made", "hair_0000"] == 1
    assert found["made", "hard_0000"] is None
    assert [row.seconds for row in summarize(evaluation.records)] == [1, 3]


def test_predictions_of_another_size_fail(benchmark, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "hair_0000.png")
    record = evaluate(benchmark, predictions={"theirs": tmp_path}, limit=2).records[1]
    assert record["status"] == "failed"
    assert "size" in record["error"]


def test_failing_methods_are_recorded_and_not_tried_again_unasked(benchmark, tmp_path):
    calls = []

    def moody(image, trimap):
        calls.append(1)
        raise RuntimeError("no")

    def not_a_number(image, trimap):
        return np.full(image.shape[:2], np.nan)

    first = evaluate(benchmark, {"moody": moody, "nan": not_a_number}, out=tmp_path, limit=1)
    assert [r["status"] for r in first.records] == ["failed", "failed"]
    assert first.records[0]["error"] == "RuntimeError: no"
    assert "NaN" in first.records[1]["error"]
    tries = len(calls)
    evaluate(benchmark, {"moody": moody}, out=tmp_path, limit=1)
    assert len(calls) == tries
    evaluate(benchmark, {"moody": moody}, out=tmp_path, limit=1, retry_failed=True)
    assert len(calls) == tries + 1
    assert len(read_records(tmp_path)) == 2


def test_an_image_without_its_alpha_is_a_failed_record(benchmark, tmp_path):
    for folder in ("image", "alpha"):
        (tmp_path / folder).mkdir()
        Image.open(benchmark / folder / "hair_0000.png").save(tmp_path / folder / "a.png")
    Image.open(benchmark / "image" / "hard_0000.png").save(tmp_path / "image" / "b.png")
    evaluation = evaluate(tmp_path, TOYS)
    assert [r["picture"] for r in evaluation.failures] == ["b", "b"]
    assert "without an alpha" in evaluation.failures[0]["error"]


def test_no_recomputing_and_no_double_counting(benchmark, tmp_path):
    evaluate(benchmark, TOYS, out=tmp_path)
    before = (tmp_path / "records.jsonl").read_bytes()
    new = []
    evaluate(benchmark, TOYS, out=tmp_path, progress=lambda r, *_: new.append(r))
    assert new == []
    assert (tmp_path / "records.jsonl").read_bytes() == before
    evaluate(
        benchmark, {**TOYS, "closed": "closed-form"}, out=tmp_path,
        progress=lambda r, *_: new.append(("done", r["method"], r["picture"])),
        started=lambda at_work, *counts: new.append((*at_work[0], *counts)),
    )  # fmt: skip
    pictures = ("glass_0000", "hair_0000", "hard_0000")
    assert new[::2] == [("closed", name, done, 9) for done, name in enumerate(pictures, 6)]
    assert new[1::2] == [("done", *at_work[:2]) for at_work in new[::2]]
    assert len(read_records(tmp_path)) == 9


def test_a_torn_last_line_and_a_corrupt_record(benchmark, tmp_path):
    whole = evaluate(benchmark, TOYS, out=tmp_path)
    file = tmp_path / "records.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3]) + lines[3][:100])
    assert timeless(evaluate(benchmark, TOYS, out=tmp_path).records) == timeless(whole.records)
    damaged = lines.copy()
    damaged[1] = b'{"dataset": "scenes", "pic\n'
    damaged[2] = b'{"dataset": 1}\n'
    file.write_bytes(b"".join(damaged + lines[4:5]))
    with pytest.warns(UserWarning, match="damaged|repeats") as caught:
        resumed = evaluate(benchmark, TOYS, out=tmp_path)
    told = [str(w.message) for w in caught]
    assert any("line 2 is damaged" in t for t in told)
    assert any("line 3 is damaged" in t for t in told)
    assert any("line 7 repeats" in t for t in told)
    assert timeless(resumed.records) == timeless(whole.records)
    assert len(file.read_bytes().splitlines()) == 6


@pytest.mark.parametrize("how", ["at the sync", "amid the line"])
def test_a_full_disk_stops_the_run_and_leaves_whole_records(benchmark, tmp_path, monkeypatch, how):
    evaluate(benchmark, TOYS, out=tmp_path, limit=1)
    before = (tmp_path / "records.jsonl").read_bytes()

    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    if how == "at the sync":
        monkeypatch.setattr(records_module.os, "fsync", full)  # type: ignore[attr-defined]
        with pytest.raises(ImageWriteError, match="No space left"):
            evaluate(benchmark, TOYS, out=tmp_path)
        monkeypatch.undo()
    else:
        resource = pytest.importorskip("resource")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
        try:
            with pytest.raises(ImageWriteError, match="full"):
                evaluate(benchmark, TOYS, out=tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "records.jsonl").read_bytes() == before
    assert len(evaluate(benchmark, TOYS, out=tmp_path).records) == 6


def test_an_output_that_is_no_folder(benchmark, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImageWriteError, match="file"):
        evaluate(benchmark, TOYS, out=tmp_path / "file" / "run")


def test_one_writer_at_a_time(benchmark, tmp_path):
    with records_module.locked(tmp_path), pytest.raises(ArgumentError, match="another process"):
        evaluate(benchmark, TOYS, out=tmp_path)


@pytest.mark.cluster
def test_parallel_gives_the_same_records(benchmark, tmp_path):
    alone = evaluate(benchmark, TOYS, out=tmp_path / "one")
    at_work = []
    together = evaluate(benchmark, TOYS, out=tmp_path / "two", jobs=2, started=lambda names, *_: at_work.append(names))
    assert timeless(alone.records) == timeless(together.records)
    assert at_work[0] == [("bright", "glass_0000"), ("bright", "hair_0000")]
    assert [len(names) for names in at_work] == [2] * 5 + [1]
    assert {name for names in at_work for name in names} == {(r["method"], r["picture"]) for r in alone.records}
    assert {r["cost"]["jobs"] for r in together.records} == {2}


@pytest.mark.cluster
def test_isolated_methods_share_no_process(benchmark, tmp_path):
    together = evaluate(benchmark, TOYS, out=tmp_path / "one", limit=2)
    methods, at_work = {"first": which_process, "second": which_process}, []
    apart = evaluate(benchmark, methods, isolate=True, limit=2, started=lambda names, *_: at_work.extend(names))
    assert at_work == [(method, picture) for method in methods for picture in ("glass_0000", "hair_0000")]
    processes = {(r["method"], r["alpha"]) for r in apart.records}
    assert len(processes) == 2  # one for each method, which both of its pictures are done in
    assert len({alpha for _, alpha in processes}) == 2
    assert {r["cost"]["isolated"] for r in apart.records} == {True}
    assert {r["cost"]["isolated"] for r in together.records} == {False}
    again = evaluate(benchmark, TOYS, isolate=True, limit=2)
    assert timeless(again.records) == timeless(together.records)
    with pytest.raises(ArgumentError, match="importable"):
        evaluate(benchmark, {"local": lambda image, trimap: image[..., 0]}, isolate=True)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not say")
def test_memory_of_arrays_that_are_gone_is_not_in_the_base():
    def takes() -> int:
        return int(np.ones(40_000_000, np.uint8).sum())

    costs = [metered(takes)[1] for _ in range(3)]
    rises = [cost["peak_bytes"] - cost["base_bytes"] for cost in costs]
    assert all(35e6 < rise < 60e6 for rise in rises)


@pytest.mark.cluster
def test_a_process_that_dies_costs_one_record(benchmark, tmp_path):
    for folder in ("image", "alpha"):
        (tmp_path / folder).mkdir()
        for name in ("hair_0000", "hard_0000"):
            Image.open(benchmark / folder / f"{name}.png").save(tmp_path / folder / f"{name}.png")
    image = np.array(Image.open(tmp_path / "image" / "hair_0000.png"))
    image[0, 0] = 255
    Image.fromarray(image).save(tmp_path / "image" / "hair_0000.png")
    evaluation = evaluate(tmp_path, {"dies": dies_on_tall, "half": half}, jobs=2, out=tmp_path / "run")
    assert [(r["method"], r["picture"]) for r in evaluation.failures] == [("dies", "hair_0000")]
    assert "process died" in evaluation.failures[0]["error"]


@pytest.mark.cluster
def test_workers_end_with_a_killed_parent(benchmark, tmp_path):
    script = textwrap.dedent(SCRIPT).format(tests=str(Path(__file__).parent), benchmark=str(benchmark))
    script = script.replace("by_brightness, half\n", "sleepy\n").replace(
        '{"bright": by_brightness, "half": half}', '{"sleepy": sleepy}, jobs=2'
    )
    main = "if __name__ == '__main__':\n" + textwrap.indent(script, "    ")
    (tmp_path / "main.py").write_text(main)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "SLEEPY": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, tmp_path / "main.py", tmp_path / "run"], env=environment)

    def wait_until(condition):
        deadline = time.monotonic() + 30
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert condition()

    def alive(pid):
        stat = Path(f"/proc/{pid}/stat")
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"

    wait_until(lambda: list(tmp_path.glob("*.pid")))
    workers = [file.stem for file in tmp_path.glob("*.pid")]
    assert all(map(alive, workers)) or not Path("/proc").exists()
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(map(alive, workers)))


def test_functions_that_cannot_travel(benchmark):
    with pytest.raises(ArgumentError, match="importable"):
        evaluate(benchmark, {"local": lambda image, trimap: image[..., 0]}, jobs=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["closed-forn"]}, "closed-form"),
        ({"methods": ["pymatting:zz"]}, "pymatting has no 'zz'"),
        ({"methods": ["cutout:nobody"]}, "nobody"),
        ({"methods": ["cutout:lite+closed-forn"]}, "closed-form"),
        ({"methods": ["segment:nobody"]}, "nobody"),
        ({"methods": ["half", "half"]}, "once"),
        ({"methods": []}, "at least one"),
        ({"methods": TOYS, "region": "known"}, "region"),
        ({"methods": TOYS, "jobs": 0}, "jobs"),
        ({"methods": TOYS, "limit": 0}, "limit"),
        ({"methods": TOYS, "predictions": {"half": "."}}, "also the name"),
    ],
)
def test_bad_arguments(benchmark, options, message):
    with pytest.raises(ArgumentError, match=message):
        evaluate(benchmark, **options)


def test_export(benchmark, tmp_path):
    evaluation = evaluate(benchmark, TOYS)
    export(evaluation.records, tmp_path / "r.csv")
    lines = (tmp_path / "r.csv").read_text().splitlines()
    assert len(lines) == 7
    assert "metrics.mse" in lines[0].split(",")
    parquet = pytest.importorskip("pyarrow.parquet")
    export(evaluation.records, tmp_path / "r.parquet")
    table = parquet.read_table(tmp_path / "r.parquet")
    assert table.column("metrics.mse").to_pylist() == [r["metrics"]["mse"] for r in evaluation.records]
    with pytest.raises(ArgumentError, match="csv"):
        export(evaluation.records, tmp_path / "r.xls")


SCRIPT = """
    import sys
    sys.path.insert(0, {tests!r})
    from toy_methods import by_brightness, half
    from trimatte.evaluation.runs import evaluate
    evaluate({benchmark!r}, {{"bright": by_brightness, "half": half}}, out=sys.argv[1])
"""


def test_killed_and_resumed_twenty_times(benchmark, tmp_path):
    """Whenever it is killed, also amid a write, a resumed run ends with the records of an undisturbed one."""
    context = multiprocessing.get_context("forkserver")  # each begins with all imported
    context.set_forkserver_preload(["toy_methods", "PIL.PngImagePlugin", "scipy.ndimage"])

    def start(out):
        process = context.Process(target=evaluate_toys, args=(benchmark, out))
        process.start()
        return process

    def exit_code(process):
        process.join()
        return process.exitcode

    assert exit_code(start(tmp_path / "whole")) == 0
    chance = random.Random(0)
    out = tmp_path / "killed"
    file = out / "records.jsonl"
    for _ in range(20):
        wanted = (file.read_bytes().count(b"\n") if file.exists() else 0) + chance.choice([0, 0, 1])
        process = start(out)
        deadline = time.monotonic() + 20
        while process.is_alive() and time.monotonic() < deadline:
            if file.exists() and file.read_bytes().count(b"\n") >= wanted:
                time.sleep(chance.random() * 0.02)
                break
            time.sleep(0.001)
        process.kill()
        process.join()
        if file.exists() and chance.random() < 0.5:  # a write that the machine's end cut short
            content = file.read_bytes()
            file.write_bytes(content[: max(0, len(content) - chance.randrange(1, 200))])
    assert exit_code(start(out)) == 0
    whole, resumed = (read_records(tmp_path / name) for name in ("whole", "killed"))
    assert len(whole) == 6
    assert list(map(json.dumps, timeless(resumed))) == list(map(json.dumps, timeless(whole)))  # to the byte
    mattes = {path.relative_to(out) for path in out.rglob("*.png")}
    assert len(mattes) == 6
    assert all((out / path).read_bytes() == (tmp_path / "whole" / path).read_bytes() for path in mattes)
    assert all(r["cost"]["seconds"] >= 0 for r in resumed)


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_no_exception_fails_a_picture_and_not_the_run(benchmark, tmp_path, jobs):
    evaluation = evaluate(benchmark, {"half": half, "wild": leaves_or_panics}, out=tmp_path, jobs=jobs)
    assert {r["method"] for r in evaluation.failures} == {"wild"}
    assert len(evaluation.failures) == 3
    assert all(r["error"].startswith(("Panic: no Exception", "SystemExit: 3")) for r in evaluation.failures)
    assert len(read_records(tmp_path)) == 6
