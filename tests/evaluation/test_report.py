"""Summaries, tables, the gate and the page."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from toy_methods import by_brightness, half

from trimatte.cli import main
from trimatte.errors import ArgumentError
from trimatte.evaluation import report
from trimatte.evaluation.exhibits import worst_pictures
from trimatte.evaluation.plots import cost_against_quality, pareto
from trimatte.evaluation.records import read_records, write_records
from trimatte.evaluation.report import html_report, load_runs
from trimatte.evaluation.runs import evaluate
from trimatte.evaluation.summary import average_ranks, check_conditions, significance, summarize
from trimatte.evaluation.tables import (
    best,
    figure_text,
    group_supplements,
    interval_text,
    latex,
    markdown,
    memory_note,
    memory_text,
    overview,
    p_text,
)


def picky(image, trimap):
    if (trimap == 255).mean() < 0.1:
        raise RuntimeError("too <bright>")
    return half(image, trimap)


def record(method, picture, mse, *, alpha=None, status="ok", seconds=1.0):
    values = dict.fromkeys(("sad", "mad", "gradient", "connectivity", "iou"), mse) | {"mse": mse}
    return {
        "dataset": "d", "trimap": "t", "region": "unknown", "method": method, "picture": picture, "status": status,
        "metrics": values if status == "ok" else {}, "stages": {}, "inputs": {"alpha": alpha or picture},
        "cost": {"seconds": seconds, "peak_bytes": 2**20, "jobs": 1},
    }  # fmt: skip


def noisy(method, mean, n=40, seed=0):
    values = mean + np.random.default_rng(seed).normal(0, 0.1, n)
    return [record(method, f"p{k}", float(value)) for k, value in enumerate(values)]


def test_rows_tell_what_was_given_and_the_device():
    seen = record("net", "a", 1.0) | {"given": "photo", "report": {"device": "cuda"}}
    pipeline = record("cutout", "a", 2.0) | {"given": "photo", "report": {"alpha": {"device": "coreml"}}}
    rows = {row.method: row for row in summarize([seen, pipeline, record("plain", "a", 3.0)])}
    assert (rows["net"].given, rows["net"].device) == ("photo", "cuda")
    assert rows["cutout"].device == "coreml"
    assert (rows["plain"].given, rows["plain"].device) == (None, "cpu")
    assert summarize([record("net", "a", 1.0) | {"cost": {}}])[0].device == ""


def test_ranks_intervals_and_significance():
    records = noisy("worse", 1.0) + noisy("best", 0.5) + noisy("near", 0.502, seed=1)
    rows = summarize(records)
    assert [row.method for row in rows] == ["best", "near", "worse"]
    best, near, worse = rows
    assert best.behind is None
    low, high = best.intervals["mse"]
    assert low < best.means["mse"] < high
    assert high - low == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(40), rel=0.25)
    assert worse.behind[0] == pytest.approx(0.5)
    assert worse.behind[2] < 0.01
    assert near.behind[2] > 0.05
    tests = significance(records, "mse")
    assert {pair for pair, (_, _, p) in tests.items() if p < 0.05} == {("worse", "best"), ("worse", "near")}


def test_iou_ranks_the_other_way():
    rows = summarize(noisy("a", 0.4) + noisy("b", 0.9), "iou")
    assert [row.method for row in rows] == ["b", "a"]
    assert best("iou", rows) == rows[0].means["iou"]
    for text in (markdown(rows, "iou"), latex(rows, "iou")):
        assert "IoU in percent" in text
        assert f"{100 * rows[0].means['iou']:.2f}" in text
    assert "IoU" not in markdown(rows)


def test_the_worst_pictures_are_those_with_the_largest_errors_or_the_least_iou():
    records = [record(m, f"p{k}", k / 10) for m in ("a", "b") for k in range(6)] + [record("a", "only", 9.0)]
    assert worst_pictures(records, "mse", 2) == ["p5", "p4"]
    assert worst_pictures(records, "iou", 2) == ["p0", "p1"]


def test_tables_have_intervals_p_and_a_label():
    rows = summarize(noisy("first", 0.5) + noisy("second", 0.7, seed=3))
    for text in (markdown(rows), latex(rows)):
        low, high = (f"{1000 * end:.2f}" for end in rows[0].intervals["mse"])
        assert f"[{low}, {high}]" in text
        difference, _, p = rows[1].behind
        assert f"+{1000 * difference:.2f} [+" in text
        assert p_text(p).lstrip("<") in text
    assert r"\label{tab:" in latex(rows)


def test_names_reach_latex_as_they_are():
    r"""A name's first [ or * would belong to the end of the line before."""
    names = {
        "[a]": "{}[a]",
        "*b": "{}*b",
        "a--b|<c>": r"a-{}-b\textbar{}$<$c$>$",
        r"\_%~": r"\textbackslash{}\_\%\textasciitilde{}",
    }
    lines = latex(summarize([row for name in names for row in noisy(name, 0.5, 8)])).splitlines()
    for name in names.values():
        assert any(line.startswith(name + " & ") for line in lines)


def test_nothing_is_less_than_nothing():
    assert figure_text("mse", -1e-9) == "0.00"
    assert figure_text("mse", -1e-9, sign="+") == "+0.00"
    assert interval_text("sad", (-0.001, 1.5), sign="+") == "[+0.00, +1.50]"


def test_figures_of_a_column_have_equal_decimals():
    assert [p_text(p) for p in (1, 0.05, 0.0001, 2**-39)] == ["1.0000", "0.0500", "0.0001", "<0.0001"]
    assert figure_text("iou", 1) == "100.00"
    rows = summarize(noisy("first", 0.5) + noisy("second", 0.7, seed=3))
    assert "& $<$0.0001 &" in latex(rows)


def test_losses_have_no_negative_zero():
    losing = [record("cutout", f"p{k}", 0.1) for k in range(3)]
    for r in losing:
        r["stages"] = {"trimap": {"covered": 1.0}, "loss": dict.fromkeys(("trimap", "matting", "total"), 1.0)}
        r["stages"]["loss"]["segmentation"] = -0.001
    ((_, cells),) = report._losses(losing, summarize(losing))
    assert cells[:2] == ["0.00", "1.00"]


def test_memory_is_what_a_method_takes_above_its_base():
    """Whatever it is that a first picture leaves allocated, or that others do."""

    def costing(method, *costs, **more):
        return [
            record(method, f"p{k}", 0.1) | {"cost": {"seconds": 1.0, "base_bytes": base, "peak_bytes": peak, **more}}
            for k, (base, peak) in enumerate(costs)
        ]

    mib = 2**20
    alone = costing("alone", (100 * mib, 300 * mib), (250 * mib, 310 * mib), isolated=True)
    among = costing("among", (1000 * mib, 1100 * mib), (1100 * mib, 1150 * mib), isolated=False)
    theirs = costing("theirs", (None, 400 * mib), (None, None), isolated=None)
    rows = {row.method: row for row in summarize(alone + among + theirs)}
    assert {name: memory_text(row) for name, row in rows.items()} == {
        "alone": "210 MiB",
        "among": "100 MiB†",
        "theirs": "400 MiB‡",
    }
    note = memory_note([*rows.values()])
    assert "† other methods ran in the same process" in note
    assert "‡ as the other program says." in note
    assert "†" not in memory_note([rows["alone"]])
    assert memory_note([rows["alone"]]) in markdown([rows["alone"]])
    assert r"100 MiB\dag{}" in latex([*rows.values()])


def test_one_witness_has_no_interval():
    text = markdown(summarize([record("one", f"p{k}", 0.1 + k / 100, alpha="same") for k in range(4)]))
    assert "inf" not in text
    assert "| – |" in text


def test_a_few_pictures_prove_nothing():
    for n, least in ((2, 0.5), (5, 2**-4)):
        rows = summarize([r for k in range(n) for r in (record("a", f"p{k}", 0.1), record("b", f"p{k}", 0.9))])
        assert rows[1].behind[2] == least


def test_a_method_with_failures_is_ranked_last_and_has_no_bold_mean():
    records = [*noisy("good", 0.5), *noisy("lucky", 0.1)[:-1], record("lucky", "p39", 0, status="failed")]
    rows = summarize(records)
    assert [(row.method, row.failed) for row in rows] == [("good", 0), ("lucky", 1)]
    table = markdown(rows)
    assert "**" in next(line for line in table.splitlines() if "good" in line)
    lucky = next(line for line in table.splitlines() if "lucky" in line)
    assert "**" not in lucky
    assert "1 of 40" in lucky


def test_a_method_that_was_run_on_fewer_pictures_is_ranked_last_too():
    rows = summarize(noisy("all", 0.5) + noisy("easy", 0.1, n=5))
    assert [(row.method, row.missing) for row in rows] == [("all", 0), ("easy", 35)]
    assert "35 of 40" in markdown(rows)
    assert "35 were not run" in check_conditions(rows, ["easy.mse > 9"])[0]


def test_tables_say_their_region_and_scaling():
    rows = summarize(noisy("a_b", 0.5) + noisy("c", 0.7))
    for text in (markdown(rows), latex(rows)):
        assert "nknown pixels" in text
        assert "divided by 1000" in text
    assert r"a\_b" in latex(rows)
    assert r"\textbf{" in latex(rows)
    assert latex(rows).partition(r"\end{table}")[0].count(r"\\") == 3


def test_gate():
    rows = summarize(noisy("pymatting:sm", 0.5) + noisy("c", 0.7, seed=3))
    assert check_conditions(rows, ["pymatting:sm.mse > 0.6", "c.seconds >= 2"]) == []
    assert "mse is 0.49" in check_conditions(rows, ["pymatting:sm.mse > 0.022"])[0]
    assert len(check_conditions(rows, ["c.mse<1e3", "pymatting:sm.seconds <= 1"])) == 2
    failing = summarize([record("a", "p", 0, status="failed"), record("a", "q", 0.1)])
    assert "1 pictures failed" in check_conditions(failing, ["a.mse > 5"])[0]
    for condition, message in (
        ("mse > 1", "wanted such as"),
        ("nobody.mse > 1", "no method 'nobody'"),
        ("c.ssim > 1", "no 'ssim'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            check_conditions(rows, [condition])


def test_pareto_front():
    points = [(1, 5), (2, 4), (2, 6), (3, 4.5), (4, 1), (5, 1)]
    assert pareto(points) == [(1, 5), (2, 4), (4, 1)]
    assert pareto([(1, 5), (2, 6), (3, 5.5)], higher_is_better=True) == [(1, 5), (2, 6)]


def test_average_rank_by_hand():
    """Three pictures: a is first twice and ties for second; b failed once, which is the last rank."""
    records = [record("a", f"p{k}", e) for k, e in enumerate((0.1, 0.1, 0.5))]
    records += [record("b", "p0", 0.2), record("b", "p1", 0, status="failed"), record("b", "p2", 0.5)]
    records += [record("c", f"p{k}", e) for k, e in enumerate((0.3, 0.2, 0.1))]
    assert average_ranks(records, "mse") == {"a": 1.5, "b": pytest.approx((2 + 3 + 2.5) / 3), "c": 2.0}
    done = [r for r in records if r["method"] != "b"]
    assert average_ranks(done, "iou") == {"a": pytest.approx(5 / 3), "c": pytest.approx(4 / 3)}


def test_one_table_over_sets_and_trimaps():
    """An average rank is over all pictures, not over the sets; who was not run everywhere has none."""
    small = [record(m, f"p{k}", e) for m, e in (("a", 0.1), ("b", 0.2), ("c", 0.3)) for k in range(2)]
    large = [record(m, f"q{k}", e) for m, e in (("a", 0.2), ("b", 0.1)) for k in range(6)]
    for r in large:
        r |= {"dataset": "other", "given": "photo"}
    table = overview(summarize(small + large), "mse")
    assert table.head == ["method", "given", "average rank", "d, t", "rank", "other, t", "rank"]
    assert table.rows == [
        ["b", "photo", "1.25", "200.00", "2.00", "100.00", "1.00"],
        ["a", "photo", "1.75", "100.00", "1.00", "200.00", "2.00"],
        ["c", "–", "–", "300.00", "3.00", "–", "–"],
    ]
    assert overview(summarize(small[:2]), "mse") is None
    for text in (markdown, latex):
        assert "average rank" in text(summarize(small + large))


def test_figures_by_category():
    records = [record(m, f"p{k}", e) for m, e in (("a", 0.1), ("b", 0.2)) for k in range(5)]
    for r in records:
        r["category"] = "hair" if r["picture"] < "p2" else "glass"
    records[-1] |= {"status": "failed", "metrics": {}}
    (table,) = group_supplements(summarize(records), "mse")
    assert table.head == ["method", "glass (3)", "hair (2)"]
    assert table.rows == [["a", "100.00", "100.00"], ["b", "–", "200.00"]]
    for text in (markdown, latex):
        assert "glass (3)" in text(summarize(records))


def test_further_figures_are_printed_and_ranked_by():
    records = noisy("a", 0.5) + noisy("b", 0.4)
    for k, r in enumerate(records):
        figures = {"sad_foreground": 0.0, "sad_background": 1.0, "sad_transition": float(k), "gradient:no-stretch": 2.0}
        r["metrics"] |= figures
        r["given"] = "photo" if r["method"] == "a" else "trimap"
    rows = summarize(records, "sad_transition")
    assert [row.method for row in rows] == ["a", "b"]
    (table,) = group_supplements(rows, "sad_transition")
    assert table.rows[0] == ["a", "0.00", "1.00", "19.50", "2.00"]
    assert "regions of the trimap" in table.note
    assert "| a | photo |" in markdown(rows)
    assert check_conditions(rows, ["a.gradient:no-stretch > 1"])
    with pytest.raises(ArgumentError, match="'gradient:gaussian-filter' was not taken of a, b"):
        summarize(records, "gradient:gaussian-filter")
    with pytest.raises(ArgumentError, match="metric: got 'ssim', wanted one of sad, mse"):
        summarize(records, "ssim")


def test_segmenters_have_a_table():
    records = noisy("a", 0.5, n=3)
    figures = {"mae": 0.1, "iou": 0.8, "max_f": 0.9, "s_measure": 0.7, "e_measure": 0.6, "weighted_f": 0.5}
    for r in records:
        r["stages"] = {"segmentation": figures}  # from before boundary IoU was taken
    (table,) = group_supplements(summarize(records))
    assert table.rows == [["a", "0.100", "0.800", "–", "0.900", "0.500", "0.700", "0.600"]]
    assert r"\label{tab:d-t-unknown-segmentation}" in latex(summarize(records))


@pytest.mark.parametrize("spread", [0.001, 0.05, 5])
def test_names_in_the_plot_cover_nothing(monkeypatch, spread):
    plt = pytest.importorskip("matplotlib.pyplot")
    rng = np.random.default_rng(0)
    names = ["closed-form", "knn", "shared", "pymatting:lbdm", "learning-based", "large-kernel", "random-walk", "sm"]
    records = [
        record(name, f"p{k}", float(0.02 * np.exp(spread * rng.normal())), seconds=float(np.exp(spread * rng.normal())))
        for name in names
        for k in range(3)
    ]
    figures: list[Any] = []
    monkeypatch.setattr(plt, "close", figures.append)
    svg = cost_against_quality(summarize(records), "mse", "seconds")
    monkeypatch.undo()
    (figure,) = figures
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    assert sorted(text.get_text() for text in texts) == sorted(names)
    boxes = [text.get_window_extent() for text in texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    ticks = [
        label.get_text()
        for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis)
        for label in axis.get_ticklabels(which="both")
    ]
    assert sum(text != "" for text in ticks) >= 4
    assert "MSE, times 1000" in svg
    plt.close(figure)


class Page(HTMLParser):
    """Collects what a page refers to and checks that its elements nest."""

    void = frozenset({"meta", "img", "br", "input", "link", "path", "use", "rect", "circle", "stop"})

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.void:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def run(benchmark, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    evaluate(benchmark, {"bright": by_brightness, "half": half}, out=out)
    evaluate(benchmark, {"picky": picky}, out=out)
    return out


def test_the_page_is_whole_and_needs_no_network(run):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    text = html_report([run])
    page = Page(text)
    assert page.open == []
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not re.search(r"(?:url\(|@import|fetch\(|XMLHttp)\s*['\"]?http", text)
    words = " ".join(page.words)
    for expected in (
        "bright",
        "half",
        "Pareto front",
        "Each picture",
        "The worst pictures",
        "How far methods disagree",
    ):
        assert expected in words
    assert "too &lt;bright&gt;" in text or "failed" not in words
    assert text.count("data:image/webp") >= 3 * 3


def test_failures_are_shown(run):
    pytest.importorskip("matplotlib")
    failed = [r for r in load_runs([run]) if r["status"] == "failed"]
    assert failed  # the scenes are chosen so
    text = html_report([run])
    assert f"{len(failed)} failed." in text
    assert "too &lt;bright&gt;" in text


def test_two_runs_of_one_method_are_told_apart(run, benchmark, tmp_path):
    evaluate(benchmark, {"half": by_brightness}, out=tmp_path / "later")
    records = load_runs([run, tmp_path / "later"])
    labels = {r["method"] for r in records}
    assert labels == {"bright", "picky", f"half [{run.name}]", "half [later]"}
    assert {r["run"] for r in records if r["method"] == "half [later]"} == {str(tmp_path / "later")}
    with pytest.raises(ArgumentError, match="no records"):
        load_runs([tmp_path])


def test_two_sets_of_one_layout_are_told_apart(run, benchmark, tmp_path):
    pytest.importorskip("matplotlib")
    other = shutil.copytree(benchmark, tmp_path / "others" / benchmark.name)
    for file in (other / "image").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    evaluate(other, {"half": half}, out=tmp_path / "later")
    evaluate(benchmark, {"black": lambda image, trimap: half(image, trimap) * 0}, out=tmp_path / "same")
    records = load_runs([run, tmp_path / "later", tmp_path / "same"])
    (name,) = {r["set"] for r in records}
    labels = {(r["dataset"], r["method"]) for r in records}
    assert {(f"{name} [later]", "half"), (f"{name} [{run.name}]", "half"), (f"{name} [same]", "black")} <= labels
    alone = load_runs([run, tmp_path / "same"])
    assert {r["dataset"] for r in alone} == {name}
    # A process that died has left no inputs; its picture says nothing of the set.
    first, *others = read_records(tmp_path / "same")
    write_records(tmp_path / "same", [first | {"status": "failed", "metrics": {}, "inputs": {}}, *others])
    assert {r["dataset"] for r in load_runs([run, tmp_path / "same"])} == {name}
    text = html_report([run, tmp_path / "later"])
    assert "Not shown" not in text


def test_some_methods_of_a_file_of_records(run, tmp_path):
    pytest.importorskip("matplotlib")
    file = shutil.copy(run / "records.jsonl", tmp_path / "results.jsonl")
    assert {r["method"] for r in load_runs([file], ["half", "bright"])} == {"half", "bright"}
    with pytest.raises(ArgumentError, match="no nobody here, but bright, half, picky"):
        load_runs([file], ["half", "nobody"])
    text = html_report([file], methods=["half", "bright"])
    assert "picky" not in text
    assert "Each picture" in text
    assert "records alone are given" in text
    said = CliRunner().invoke(main, ["compare", str(file), "--methods", "half, bright"])
    assert (said.exit_code, said.stdout.count("| half |"), "picky" in said.stdout) == (0, 4, False)


def test_runs_on_different_sets_show_each_their_own_pictures(run, benchmark, tmp_path):
    pytest.importorskip("matplotlib")
    other = shutil.copytree(benchmark, tmp_path / "others")
    evaluate(other, {"half": half, "bright": by_brightness}, out=tmp_path / "run")
    text = html_report([run, tmp_path / "run"])
    assert "Not shown" not in text
    assert text.count("How far methods disagree") == text.count("The worst pictures") == 2


def test_without_the_data_set_the_page_says_so(benchmark, tmp_path):
    pytest.importorskip("matplotlib")
    moved = shutil.copytree(benchmark, tmp_path / "set")
    evaluate(moved, {"half": half, "bright": by_brightness}, out=tmp_path / "run")
    shutil.rmtree(moved)
    text = html_report([tmp_path / "run"])
    assert "Not shown" in text
    assert "Each picture" in text


@pytest.mark.browser
def test_the_page_works_in_a_browser(run, tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    pytest.importorskip("matplotlib")
    # The page's own script is asked to sort and to switch the figure, and what it made is read back.
    probe = """<script>
      const table = document.querySelector("table.sortable"), head = table.tHead.rows[0].cells[1].firstChild;
      head.click();
      const column = () => [...table.tBodies[0].rows].map(row => row.cells[1].textContent);
      const up = column(); head.click(); const down = column();
      const pick = document.querySelector("select"); pick.value = "sad"; pick.dispatchEvent(new Event("change"));
      const sad = column(); pick.value = "iou"; pick.dispatchEvent(new Event("change"));
      const iou = [...table.tBodies[0].rows].map(row => [...row.cells].slice(1).map(c => [c.textContent, c.className]));
      document.title = JSON.stringify({up, down, sad, iou, wide: document.documentElement.scrollWidth});
    </script></body>"""
    page = tmp_path / "page.html"
    page.write_text(html_report([run]).replace("</body>", probe))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", "--window-size=500,900"]  # fmt: skip
    command = [chromium, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    seen = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1]))
    figures = [float(value) for value in seen["up"]]
    assert figures == sorted(figures)
    assert seen["down"] == seen["up"][::-1]
    assert seen["sad"] != seen["down"]
    for row in seen["iou"]:
        done = [float(text) for text, kind in row if kind != "failed"]
        assert [kind == "best" for text, kind in row if kind != "failed"] == [value == max(done) for value in done]
    assert seen["wide"] <= 500
