"""Every public function against its docstring: each bad argument is an error of ours that names it, before any work."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import trimatte
from trimatte import images, metrics
from trimatte.alpha.methods import METHODS
from trimatte.errors import (
    ArgumentError,
    ConvergenceWarning,
    ImageReadError,
    ImageWriteError,
    SolverError,
    TrimatteError,
)

SIZE = 24, 30
Y, X = np.mgrid[: SIZE[0], : SIZE[1]]
R = np.hypot(Y - 11.5, X - 14.5)
ALPHA = np.clip((8 - R) / 4 + 0.5, 0, 1).astype(np.float32)
PHOTO = (0.2 + 0.6 * ALPHA[..., None] + np.random.default_rng(0).normal(0, 0.02, (*SIZE, 3))).clip(0, 1)
TRIMAP = np.where(ALPHA == 1, 255, np.where(ALPHA == 0, 0, 128)).astype(np.uint8)

NO_ARRAY = [5, None, object(), {}, [["a"]], np.zeros((0, 3)), np.zeros((4, 4), complex)]
NO_IMAGE = [*NO_ARRAY, np.zeros(3), np.full((4, 4, 3), 2.0), np.full((4, 4, 3), np.nan), np.zeros((4, 4, 3), int)]
NO_PLANE = [*NO_ARRAY, np.zeros((3, 3, 3)), np.full(SIZE, 2.0), np.full(SIZE, np.nan)]
OF_ANOTHER_SIZE = np.zeros((3, 4), np.uint8)
NO_NUMBER = ["a", None, True, float("nan"), float("inf"), [1]]
NO_COUNT = ["a", None, True, 1.5, 0, -1]
NO_FLAG = [3, "yes", None, [True]]
NO_NAME = [3, None, b"x", ["x"], "there is none of that name"]


class Contract(NamedTuple):
    """A call that works, and for each of its arguments values that are refused."""

    call: Callable[..., Any]
    good: dict[str, Any]
    bad: dict[str, list[Any]]
    options: bool = False
    """Whether it takes further options by name, which are then refused by an error of ours."""


def cutout(image: Any = PHOTO, **options: Any) -> Any:
    return trimatte.cutout(image, **options)


def bad_file(path: Path) -> list[Any]:
    (path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return [path / "missing.png", str(path), path / "broken.png", b"", b"no picture"]


OF_SYSTEM = {"rtol": ["a", 0, -1, float("nan"), True], "max_memory": ["a", -1]}
OF_STENCIL = {**OF_SYSTEM, "known": [3, "a", OF_ANOTHER_SIZE], "guess": [3, "a", OF_ANOTHER_SIZE]}
OF_METHODS: dict[str, dict[str, list[Any]]] = {
    "closed-form": {
        **OF_STENCIL,
        "epsilon": ["a", 0, -1, float("inf")],
        "radius": ["a", 0, 1.5, True],
        "prior": [3, OF_ANOTHER_SIZE, np.full(SIZE, 2.0)],
    },
    "learning-based": {**OF_STENCIL, "epsilon": ["a", 0, float("nan")]},
    "random-walk": {**OF_STENCIL, "sigma": ["a", 0, -1]},
    "knn": {
        "rtol": OF_SYSTEM["rtol"],
        "neighbours": [3, "ab", (), (1, 2), (2.5, 3), ("a", "b"), None],
        "distance_weights": [3, "ab", (1,), (-1, 1), (float("nan"), 1), ("a", 1), None],
    },
    "large-kernel": {"rtol": OF_SYSTEM["rtol"], "radius": NO_COUNT, "epsilon": ["a", 0, float("inf")]},
    "shared": {},
    "light": {},
    "light-closed-form": {},
    "hybrid": {},
    "glance": {},
    "pymatting:cf": {},
}


def contracts(folder: Path) -> dict[str, Contract]:
    """All contracts by the name of what is called."""
    photos, out = folder / "photos", folder / "out"
    photos.mkdir(exist_ok=True)
    Image.fromarray(np.round(PHOTO * 255).astype(np.uint8)).save(photos / "a.png")
    files = bad_file(folder)
    cut = trimatte.cutout(PHOTO, trimap=TRIMAP)
    save = trimatte.Cutout.save
    scored = folder / "scored"
    for part, array in (("image", PHOTO), ("alpha", ALPHA), ("trimap", TRIMAP)):
        (scored / part).mkdir(parents=True, exist_ok=True)
        trimatte.save_image(scored / part / "a.png", array)
    image = {"image": [*NO_IMAGE, *files]}
    not_none = [value for value in NO_NAME if value is not None]
    stages: dict[str, list[Any]] = {
        "segmenter": not_none,
        "method": not_none,
        "foreground": NO_NAME,
        "refine": not_none,
    }
    widths = {name: [value for value in (*NO_NUMBER, -1) if value is not None] for name in ("band", "band_pixels")}
    of_output: dict[str, list[Any]] = {
        "preset": [3, "nothing", "missing.toml"],
        "margin": ["a", -1, 1.5, True, "101%", "1 2 3"],
        "size": ["a", 5, "0x4", (3,), (3, 4.5)],
        "aspect": ["a", -1, 0, True, "4:0"],
        **{name: [3, "x"] for name in ("align", "cast_shadow", "profile", "metadata", "chroma")},
        "outline": ["a", -1, 1.5, True],
        "outline_colour": ["no colour"],
        "shadow_strength": ["a", -1, 2],
        "shadow_softness": ["a", -1, 2],
        "dpi": ["a", 0],
        "quality": ["a", 0, 101],
    }
    no_points = [5, "ab", object(), [5], [(1,)], [(1, "x")], [(1, float("nan"))]]
    prompts: dict[str, list[Any]] = {
        "points": no_points,
        "not_points": no_points,
        "box": [5, "ab", (1, 2, 3), (5, 5, 1, 9), (0, 0, "x", 9)],
    }
    of_cutout: dict[str, list[Any]] = {
        **stages,
        **prompts,
        **widths,
        "speck": widths["band"],
        "adaptive_band": NO_FLAG,
        "backdrop": [3, "no such colour", "x.png", (1, 2), (0.1, 0.2, 2.0), None],
        "shadow": ["no such way", 3, None],
        "refine_options": [3, {"weights": "x"}, ["a"]],
        "strict": NO_FLAG,
        "max_pixels": NO_COUNT,
    }
    plane = [*NO_PLANE, OF_ANOTHER_SIZE]
    given_trimap = [value for value in plane if value is not None]
    size = np.zeros((3, 4), np.float32)
    table = {
        "cutout": Contract(cutout, {}, {**image, **of_cutout, "quality": [*NO_NAME, 90]}, options=True),
        "cutout of a trimap": Contract(
            cutout,
            {"trimap": TRIMAP},
            {"trimap": given_trimap, "band": [0.1], "band_pixels": [3], "speck": [0], "adaptive_band": [True]},
            options=True,
        ),
        "cutout without a trimap": Contract(
            cutout, {"method": "glance"}, {"band": [0.1], "speck": [0.1]}, options=True
        ),
        "Cutter": Contract(
            trimatte.Cutter,
            {"trimap": TRIMAP},
            {"sequence": NO_FLAG, "quality": NO_NAME, **{k: v for k, v in of_cutout.items() if k not in widths}},
            options=True,
        ),
        "segment": Contract(trimatte.segment, {"image": PHOTO}, {**image, **prompts, "segmenter": NO_NAME}),
        "Selection": Contract(
            trimatte.Selection,
            {"image": PHOTO},
            {**image, "segmenter": NO_NAME, "automatic": NO_FLAG, "max_pixels": NO_COUNT},
        ),
        "make_trimap": Contract(
            trimatte.make_trimap,
            {"probability": ALPHA},
            {
                "probability": NO_PLANE,
                **widths,
                "speck": [*NO_NUMBER, -1],
                "sure": [*NO_NUMBER, 0.5, 1.1],
                "mixed": [3, size, np.full(SIZE, 2.0)],
                "report": [3],
            },
        ),
        "prepare_alpha": Contract(
            trimatte.prepare_alpha,
            {"image": PHOTO, "trimap": TRIMAP},
            {**image, "trimap": [None, *given_trimap], "method": NO_NAME},
            options=True,
        ),
        "estimate_foreground": Contract(
            trimatte.estimate_foreground,
            {"image": PHOTO, "alpha": ALPHA},
            {**image, "alpha": plane, "method": NO_NAME, "strict": NO_FLAG},
            options=True,
        ),
        "estimate_foreground by closed-form": Contract(
            trimatte.estimate_foreground,
            {"image": PHOTO, "alpha": ALPHA, "method": "closed-form"},
            {"rtol": OF_SYSTEM["rtol"]},
            options=True,
        ),
        "composite": Contract(
            trimatte.composite,
            {"foreground": PHOTO, "alpha": ALPHA, "background": "white"},
            {
                "foreground": NO_IMAGE,
                "alpha": plane,
                "background": [None, 5, "no colour", (1, 2), (300, 0, 0), (1.5, 0, 0), ("a", "b", "c"), files[0]],
            },
        ),
        "checkerboard": Contract(
            trimatte.checkerboard,
            {"shape": (4, 5)},
            {
                "shape": [3, (), "ab", (0, 4), (-1, 4), (2.5, 4), ("a", "b")],
                "size": NO_COUNT,
                "colours": [3, "ab", (1,), (1, 0, 0), (2, 0), ("a", "b")],
            },
        ),
        "load_image": Contract(
            trimatte.load_image, {"source": photos / "a.png"}, {"source": [*NO_IMAGE, *files], "max_pixels": NO_COUNT}
        ),
        "load_picture": Contract(
            trimatte.load_picture, {"source": PHOTO}, {"source": [*NO_IMAGE, *files], "max_pixels": NO_COUNT}
        ),
        "save_image": Contract(
            trimatte.save_image,
            {"path": folder / "b.png", "image": PHOTO},
            {
                "path": [3, None, folder / "b.xyz", folder / "nowhere" / "b.png", folder],
                "image": NO_IMAGE,
                "alpha": [value for value in plane if value is not None],
                "icc_profile": [3, "sRGB"],
                "bits": [3, "8", True],
                "quality": ["a", 0, 101, 1.5, True],
                "format": [3, "xyz", b"png"],
            },
        ),
        "Cutout.save": Contract(
            lambda path, **options: save(cut, path, **options),
            {"path": folder / "c.png"},
            {
                "crop": ["a", -1, 1.5],
                "background": [5, "no colour"],
                "path": [3, None],
                **of_output,
            },
            options=True,
        ),
        "Cutout.content": Contract(cut.content, {}, {"margin": ["a", -1, 1.5, True, None]}),
        "Cutout.over": Contract(cut.over, {"background": "white"}, {"background": [None, 5, "no colour"]}),
        "run_batch": Contract(
            trimatte.run_batch,
            {"source": photos, "out": out},
            {
                "source": [3, None, folder / "missing"],
                "out": [3, None, photos / "a.png"],
                "workers": [value for value in NO_COUNT if value is not None],
                "max_memory": [value for value in NO_COUNT if value is not None],
                "shard": [3, "x", "3/2", "0/2"],
                "prompts": [3, folder / "missing.jsonl"],
                **dict.fromkeys(("retry_failed", "force", "watch", "review"), NO_FLAG),
                "format": [3, "xyz", "jpeg"],
                "sheet": NO_FLAG,
                "crop": ["a", -1, 1.5],
                "output": [3, "x"],
                **of_output,
                **of_cutout,
            },
            options=True,
        ),
        "evaluate": Contract(
            trimatte.evaluate,
            {"dataset": scored, "methods": ["closed-form"]},
            {
                "dataset": [3, None, folder / "missing"],
                "methods": [["closed-forn"], [], ["knn", "knn"]],
                "region": ["x", 3],
                "jobs": NO_COUNT,
                "limit": [value for value in NO_COUNT if value is not None],
                "isolate": NO_FLAG,
                "variants": [3, "gradient", ["ssim"], [None]],
                "retry_failed": NO_FLAG,
                "layout": ["x", 3],
            },
        ),
    }
    for name, bad in OF_METHODS.items():
        needs = name.startswith("pymatting:") or METHODS[name].needs_trimap
        good = {"image": PHOTO, "trimap": TRIMAP, "method": name}
        trimaps = [*given_trimap, *([None] if needs else [])]
        own = {**image, "trimap": trimaps, "strict": NO_FLAG, **bad}
        table[f"estimate_alpha by {name}"] = Contract(trimatte.estimate_alpha, good, own, options=True)
    table["estimate_alpha"] = Contract(
        trimatte.estimate_alpha, {"image": PHOTO, "trimap": TRIMAP}, {"method": NO_NAME}, options=True
    )
    pairs = {
        name: {"alpha": plane, "target": plane, "trimap": [v for v in given_trimap if v is not None]}
        for name in ("sad", "sad_by_region", "mse", "mad", "gradient_error", "connectivity_error")
    }
    of_masks = ("mae", "iou", "f_measures", "s_measure", "e_measure", "weighted_f_measure", "boundary_iou")
    pairs |= {name: {"probability": plane, "mask": plane} for name in of_masks}
    for name, bad in pairs.items():
        good = dict.fromkeys(list(bad)[:2], ALPHA)
        table[f"metrics.{name}"] = Contract(getattr(metrics, name), good, bad)
    table["metrics.iou"].bad["threshold"] = ["a", -1, 2, True]
    table["metrics.boundary_iou"].bad["threshold"] = ["a", -1, 2, True]
    table["metrics.boundary_iou"].bad["width"] = ["a", -1, 0, 2, True]
    table["metrics.f_measures"].bad["beta2"] = ["a", -1, 0]
    table["metrics.max_f_measure"] = Contract(
        metrics.max_f_measure,
        {"probabilities": [ALPHA], "masks": [ALPHA]},
        {"probabilities": [5, None, "a", [], [ALPHA, ALPHA], [5]], "masks": [5, None, "a", [size]]},
    )
    doors = {"as_image": NO_IMAGE, "as_alpha": NO_PLANE, "as_trimap": NO_PLANE, "read_trimap": NO_PLANE}
    for name, bad_values in doors.items():
        good = {"x": PHOTO if name == "as_image" else TRIMAP}
        table[f"images.{name}"] = Contract(getattr(images, name), good, {"x": [*bad_values, *files]})
    return table


COVERED_ELSEWHERE = {
    "AlphaMethod": "a row of a table",
    "BatchSummary": "a result",
    "Cutout": "a result",
    "CutoutReport": "a result",
    "Evaluation": "a result",
    "Matte": "a result",
    "PreparedAlpha": "made by prepare_alpha; tests/alpha/test_prepared.py",
    "SolveReport": "a result",
    "alpha_methods": "takes nothing",
    "segmenters": "takes nothing",
}


CALLED = {
    "x": "image|alpha|trimap",
    "source": "image|source|input",
    "methods": "methods?",
    "target": "target|alpha",
    "mask": "mask|probability",
    "masks": "masks?|probability",
    "probabilities": "probabilities|probability",
}
"""What a message may call an argument: of two sizes that differ either may be named."""
SLOW = {"run_batch", "evaluate"}
"""What starts processes where its arguments are good."""


def complaint_of(call: Callable[[], Any], name: str) -> str | None:
    """What is wrong with how a call is refused: it is not, by an error of others, or without naming the argument."""
    try:
        call()
    except (ImageReadError, ImageWriteError):  # which name the file
        return None
    except TrimatteError as error:
        return None if re.search(rf"\b({CALLED.get(name, name)})\b", str(error)) else f"does not name it: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "is taken"


def faults_of(contract: Contract) -> Iterator[str]:
    """Each way in which a contract is broken."""
    for name, values in contract.bad.items():
        for value in values:
            arguments = {**contract.good, name: value}
            fault = complaint_of(lambda arguments=arguments: contract.call(**arguments), name)
            if fault:
                yield f"{name}={value!r:.60} {fault}"
    if contract.options:
        fault = complaint_of(lambda: contract.call(**contract.good, banana=3), "banana")
        if fault:
            yield f"banana=3 {fault}"
    else:
        with pytest.raises(TypeError, match="banana"):
            contract.call(**contract.good, banana=3)


@pytest.mark.filterwarnings("ignore")
def test_every_bad_argument_is_refused_by_name(tmp_path: Path) -> None:
    table = contracts(tmp_path)
    faults = [f"{name}: {fault}" for name, contract in table.items() for fault in faults_of(contract)]
    assert not faults, "\n".join(faults)
    for name, contract in table.items():
        if name not in SLOW:
            contract.call(**contract.good)


def test_every_public_function_is_in_the_table(tmp_path: Path) -> None:
    covered = {name.split()[0].removeprefix("metrics.").removeprefix("images.") for name in contracts(tmp_path)}
    public = {name for name in trimatte.__all__ if callable(getattr(trimatte, name))}
    public -= {name for name in public if name.endswith(("Error", "Warning"))}
    assert public <= covered | set(COVERED_ELSEWHERE)
    assert set(metrics.__all__) - {"dtssd", "foreground_error", "measure"} <= covered


def test_errors_and_warnings_are_reached_from_the_top() -> None:
    own = [value for value in vars(trimatte.errors).values() if inspect.isclass(value) and issubclass(value, Exception)]
    for value in own:
        assert getattr(trimatte, value.__name__) is value
        assert value.__name__ in trimatte.__all__


def test_an_unknown_option_is_refused_though_there_is_no_subject(bright: str) -> None:
    with pytest.raises(ArgumentError, match="banana: no option of 'light'"):
        trimatte.cutout(np.zeros((*SIZE, 3)), segmenter=bright, banana=3)


@pytest.mark.parametrize("strict", [True, False])
def test_foreground_colours_that_did_not_converge_are_told(strict: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimatte.foreground.closed_form.ITERATIONS", 1)
    calls = [
        lambda: trimatte.estimate_foreground(PHOTO, ALPHA, method="closed-form", strict=strict),
        lambda: trimatte.cutout(PHOTO, trimap=TRIMAP, foreground="closed-form", strict=strict),
    ]
    for call, category in zip(calls, (ConvergenceWarning, trimatte.SubjectWarning), strict=True):
        with (
            pytest.raises(SolverError, match="foreground: not converged")
            if strict
            else pytest.warns(category, match="foreground: not converged")
        ):
            call()


FREE = """
import numpy as np
from trimatte import AlphaMethod

def half(image, trimap, report, *, level=0.75):
    return np.full(image.shape[:2], level)

alpha = AlphaMethod(function=half, label="Half", needs_trimap=False)
"""


def test_a_plug_in_may_need_no_trimap(plug_in: Any) -> None:
    plug_in("half", FREE)
    assert trimatte.estimate_alpha(PHOTO, method="half").alpha.mean() == np.float32(0.75)
    result = trimatte.cutout(PHOTO, method="half", level=0.6)
    assert (result.alpha == np.float32(0.6)).all()
    assert (result.trimap, result.report.segmenter) == (None, "")
    assert trimatte.Cutter(method="half")(PHOTO).alpha.min() == np.float32(0.75)
    with pytest.raises(ArgumentError, match="lvel: no option of 'half', which has level"):
        trimatte.cutout(PHOTO, method="half", lvel=1)


def test_a_plug_in_that_cannot_be_used_is_said_and_left_out(plug_in: Any) -> None:
    from trimatte.alpha import ready_methods

    plug_in("broken", "import nowhere_to_be_found\n\ndef alpha(): ...\n")
    plug_in("number", "alpha = 3\n")
    with pytest.raises(ArgumentError, match="'broken' cannot be loaded: No module named 'nowhere_to_be_found'"):
        trimatte.estimate_alpha(PHOTO, TRIMAP, method="broken")
    with pytest.raises(ArgumentError, match="'number' is 3; wanted a function or an AlphaMethod"):
        trimatte.estimate_alpha(PHOTO, TRIMAP, method="number")
    assert not {"broken", "number"} & set(ready_methods())


def test_rows_say_what_their_functions_take() -> None:
    for name, row in METHODS.items():
        parameters = inspect.signature(row.load()).parameters
        assert row.label, name
        assert ({"known", "guess"} <= set(parameters)) == row.local, name
        assert ("weights" in parameters) == row.needs_weights, name
        assert set(row.kernels) <= set(METHODS), name
