"""The three verbs as a user calls them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from trimatte.cli import main
from trimatte.evaluation.layouts import LAYOUTS


@pytest.fixture
def call():
    def run(*words, code=0):
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == code, result.output
        return result

    return run


def test_from_nothing_to_a_report(call, tmp_path):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    scenes, run = tmp_path / "scenes", tmp_path / "run"
    call("datasets", "synthesize", scenes, "--count", 2, "--size", "80x64", "--kinds", "hard,hair", "--quiet")
    found = json.loads(call("datasets", "verify", scenes, "--json").stdout)
    assert (found["layout"], found["pictures"]) == ("synthetic", 2)
    evaluate = ("evaluate", scenes, "--methods", "closed-form, pymatting:rw", "--out", run, "--csv")
    assert "closed-form" in call(*evaluate).stdout
    rows = json.loads(call(*evaluate, "--json").stdout)
    assert {row["method"] for row in rows} == {"closed-form", "pymatting:rw"}
    assert (run / "records.csv").read_text().count("\n") == 5
    for name, mark in (("r.html", "<!doctype html>"), ("r.md", "| method |"), ("r.tex", r"\begin{table}")):
        call("compare", run, "-o", tmp_path / name, "--metric", "sad", "--title", "Mine")
        assert mark in (tmp_path / name).read_text()
    assert "Mine" in (tmp_path / "r.html").read_text()
    assert "closed-form" in call("compare", run).stdout
    assert json.loads(call("compare", run, "--json").stdout)[0]["rank"] == 1
    call("compare", run, "--fail-if", "closed-form.mse > 10")
    assert "closed-form.mse > 0" in call("compare", run, "--fail-if", "closed-form.mse > 0", code=1).stderr


def test_ctrl_c_says_how_to_go_on(call, benchmark, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("trimatte.evaluation.runs.evaluate", interrupted)
    said = call("evaluate", benchmark, "--methods", "closed-form", "--out", tmp_path / "run", code=130)
    assert said.stderr.endswith(
        f"Interrupted. What is recorded in {tmp_path / 'run'} stays; the same command goes on.\n"
    )


def test_failures_show_in_the_exit_code(call, benchmark, tmp_path):
    (tmp_path / "theirs").mkdir()
    Image.fromarray(np.zeros((64, 80), np.uint8)).save(tmp_path / "theirs" / "hair_0000.png")
    result = call("evaluate", benchmark, "--predictions", f"x={tmp_path / 'theirs'}", "--out", tmp_path / "run", code=1)
    assert "holds no result for hard_0000" in result.stderr
    assert "2 of 3" in result.stdout


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_at_work_is_told_before_it_is_done(call, benchmark, tmp_path, monkeypatch, terminal):
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: terminal)
    result = call(
        "evaluate", benchmark, "--predictions", f"x={benchmark / 'alpha'}", "--limit", 2, "--out", tmp_path / "run"
    )
    if terminal:
        told = result.stderr
        assert 0 < told.index("x on glass_0000") < told.index("x on hair_0000") < told.index("2/2")
    else:
        assert result.stderr == "0 of 2 done, at work: x on glass_0000\n"


def test_list(call):
    listing = call("datasets", "list").stdout
    assert call("datasets").stdout == listing
    assert "alphamatting.com" in listing
    assert "sha256 78d403b0671424cd6e6a01b5489a4d26e53c40b1b9b98ea33f3ee02a09ccb5db" in listing
    assert "aim-500" in json.loads(call("datasets", "list", "--json").stdout)


def test_verify_fails_where_a_picture_is_unusable(call, tmp_path):
    (tmp_path / "image").mkdir()
    (tmp_path / "alpha").mkdir()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8))
    picture.save(tmp_path / "image" / "a.png")
    picture.save(tmp_path / "image" / "b.png")
    picture.convert("L").save(tmp_path / "alpha" / "a.png")
    assert "without an alpha" in call("datasets", "verify", tmp_path, code=1).stdout


def test_errors_are_one_line(call, tmp_path):
    result = call("evaluate", tmp_path / "nowhere", "--methods", "closed-form", "--out", tmp_path / "run", code=2)
    assert "no folder" in result.stderr
    assert "Traceback" not in result.output
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "x.txt").write_text("x")
    unknown = call("datasets", "verify", tmp_path / "odd", code=2).stderr
    assert all(layout.name in unknown for layout in LAYOUTS)
    call("datasets", "synthesize", tmp_path / "s", "--size", "512", code=2)
    call("evaluate", tmp_path, "--predictions", "theirs", "--out", tmp_path / "run", code=2)
    call("compare", tmp_path / "odd", code=2)
    (tmp_path / "run").mkdir(exist_ok=True)
    assert "holds no records" in call("compare", tmp_path / "run", code=2).stderr
