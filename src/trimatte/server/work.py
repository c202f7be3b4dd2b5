"""What a worker process does with one request: bytes and checked parameters in, bytes and a report out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import trimatte
from trimatte.alpha import Matte, find_method, remarks
from trimatte.cutout import Matting, cutout_by, find_trimap, matting_of
from trimatte.errors import SubjectNotFoundError, for_users
from trimatte.images import WRITTEN, Picture, load_picture, read_trimap, save_image
from trimatte.images.hidden import without_hidden
from trimatte.quality import USUAL, WAYS, apart
from trimatte.runtime.report import PlainReport
from trimatte.runtime.threads import available_threads
from trimatte.server.operations import output_options
from trimatte.server.pointing import prompts_of
from trimatte.stages import Stages
from trimatte.trimap import SPECK, TrimapReport

Files = Mapping[str, bytes]
Values = Mapping[str, Any]


ALPHA_SHARE = 0.4
"""Of the time that a request may take, what alpha may, and closed-form colours: so much is left for slower processors
and the other stages."""
COLOURS_COST = 50
"""Microseconds of a thread that closed-form colours take a pixel of their band, some 17 about a sharp edge."""


@dataclass
class Report(PlainReport):
    """What a client should know of its result.

    Attributes
    ----------
    subject : bool
        Whether one was found.
    warnings : list of str
        Whatever the user should know, in words.
    quality : str
        What was asked for, of a cut-out.
    method, unknown, iterations, residual, converged : str, int, int, float, bool
        Of the alpha matte, as in `trimatte.SolveReport`.
    band : float
        Half width of the unknown band in pixels.
    backdrop : str
        The plain backdrop's colour as #rrggbb, empty if there was none.
    seconds : dict of str to float
        Wall time by stage.
    """

    subject: bool = True
    warnings: list[str] = field(default_factory=list)
    quality: str = ""
    method: str = ""
    unknown: int = 0
    iterations: int = 0
    residual: float = 0.0
    converged: bool = True
    band: float = 0.0
    backdrop: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    """An encoded picture and the report on it; `headers` are further ones of the answer."""

    body: bytes
    media_type: str
    report: Report
    headers: dict[str, str] = field(default_factory=dict)


def run(task: str, files: Files, values: Values) -> Product:
    """Do a task of `TASKS`. `values` has every parameter of the task's table, checked, and `max_pixels`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        product = TASKS[task](files, values)
    product.report.warnings = for_users(caught, product.report.warnings)
    return product


def warm_up() -> None:
    """Cut out a small picture by all qualities, so that no client waits for imports, the networks or kernels."""
    image = np.zeros((64, 96, 3), np.float32)
    image[16:48, 24:72] = 1
    known = np.full((64, 96), 128, np.uint8)
    known[:8], known[24:40, 32:64] = 0, 255
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trimatte.make_trimap(trimatte.segment(image), speck=SPECK)
        for method in {name for way in WAYS.values() for name in (way.method, way.drawn) if name}:
            trimatte.cutout(image, trimap=known, method=method)


def _cutout(files: Files, values: Values) -> Product:
    named = (
        "segmenter",
        "method",
        "backdrop",
        "shadow",
        "band",
        "band_pixels",
        "adaptive_band",
        "foreground",
        "strict",
    )
    stages = Stages(
        quality=apart(values)["way"] or USUAL,
        trimap=files.get("trimap"),
        max_pixels=values["max_pixels"],
        foreground_options=colours_in_time(values["foreground"], values["work_seconds"]),
        **{name: values[name] for name in named},
        **prompts_of(values),
    )
    stages.check()
    result = cutout_by(matting_in_time(stages, values["work_seconds"]), files["image"], stages)
    stream = io.BytesIO()
    result.save(stream, output=values["output"], max_pixels=values["max_pixels"], **output_options(values))
    return Product(stream.getvalue(), WRITTEN[values["format"]].media_type, report_of(result.report))


def report_of(report: trimatte.CutoutReport) -> Report:
    """What of a cut-out's report a client is told."""
    alpha = report.alpha
    return Report(
        subject=report.subject,
        warnings=report.warnings,
        quality=report.quality,
        method=alpha.method,
        unknown=alpha.unknown,
        iterations=alpha.iterations,
        residual=alpha.residual,
        converged=alpha.converged,
        band=report.band,
        backdrop=report.backdrop,
        seconds=report.seconds,
    )


def most_unknown(method: str, seconds: float) -> int | None:
    """How many unknown pixels a method can solve for in a request's time, about; None if any, or if nobody knows."""
    found = find_method(method)
    if not found.cost:
        return None
    most = max(1, _pixels_in_time(seconds, found.cost))
    return None if found.bounded and most >= found.bounded else most


def colours_in_time(foreground: str, seconds: float) -> dict[str, int] | None:
    """Options with which a method of colours keeps to a request's time; closed-form's alone may take long."""
    if foreground != "closed-form":
        return None
    return {"most": _pixels_in_time(seconds, COLOURS_COST)}


def _pixels_in_time(seconds: float, cost: float) -> int:
    """How many pixels a stage can do in its share of a request's time, each for `cost` microseconds of a thread."""
    return int(ALPHA_SHARE * seconds * available_threads() * 1e6 / cost)


def matting_in_time(stages: Stages, seconds: float) -> Matting:
    """What estimates alpha, of no more unknown pixels than a request's time allows; the report says so if it is those.

    Where the quality's own bound is the lesser, nothing is said: it is what was asked for.
    """
    most = most_unknown(stages.way.method, seconds)
    matting = matting_of(stages, most=most)
    if most is None or (stages.pixels is not None and stages.pixels <= most):
        return matting

    def estimate(image: np.ndarray, trimap: np.ndarray | None, probability: np.ndarray | None) -> Matte:
        matte = matting(image, trimap, probability)
        report = matte.report
        if report.reduction > 1:
            report.fallbacks.append(
                f"{report.method} would take too long for {report.unknown} unknown pixels: "
                f"alpha was computed at 1/{report.reduction} of the size"
            )
        return matte

    return estimate


def _trimap(files: Files, values: Values) -> Product:
    picture = without_hidden(load_picture(files["image"], max_pixels=values["max_pixels"]))
    notes = TrimapReport()
    named = {name: values[name] for name in ("segmenter", "band", "band_pixels", "adaptive_band")}
    _, known = find_trimap(picture, Stages(**named, **prompts_of(values)), report=notes)
    if values["strict"] and not notes.subject:
        raise SubjectNotFoundError("no subject found")
    report = Report(subject=notes.subject, warnings=notes.notes, band=notes.band)
    return Product(_png(known, picture), "image/png", report)


def _alpha(files: Files, values: Values) -> Product:
    limit = values["max_pixels"]
    picture = without_hidden(load_picture(files["image"], max_pixels=limit))
    known = read_trimap(files["trimap"], shape=picture, max_pixels=limit)
    stages = Stages(method=values["method"], trimap=known, strict=values["strict"], max_pixels=limit)
    matte = matting_in_time(stages, values["work_seconds"])(picture.image, known, None)
    solve = matte.report
    report = Report(
        warnings=remarks(solve),
        method=solve.method,
        unknown=solve.unknown,
        iterations=solve.iterations,
        residual=solve.residual,
        converged=solve.converged,
        seconds=solve.seconds,
    )
    return Product(_png(matte.alpha, picture, bits=16 if values["bits"] == "16" else 8), "image/png", report)


def _png(grey: np.ndarray, photo: Picture, bits: int = 8) -> bytes:
    """A plane of a photo, at its resolution."""
    stream = io.BytesIO()
    save_image(stream, grey, format="png", bits=bits, metadata=photo.metadata.kept("none"))
    return stream.getvalue()


def _removebg(files: Files, values: Values) -> Product:
    from trimatte.server.work_removebg import cut_out

    made = cut_out(
        files["image"],
        files.get("background"),
        most=int(values["most"]),
        roi=values["roi"],
        crop=values["crop"],
        margins=values["margins"],
        only_alpha=values["only_alpha"],
        colour=values["colour"],
        format=values["format"],
        max_pixels=values["max_pixels"],
    )
    return Product(made.body, WRITTEN[values["format"]].media_type, report_of(made.report), made.headers)


def _rembg(files: Files, values: Values) -> Product:
    from trimatte.compat import rembg

    body = rembg.remove(
        load_picture(files["file"], max_pixels=values["max_pixels"]),
        alpha_matting=values["a"],
        alpha_matting_foreground_threshold=values["af"],
        alpha_matting_background_threshold=values["ab"],
        alpha_matting_erode_size=values["ae"],
        session=rembg.new_session(values["model"]),
        only_mask=values["om"],
        post_process_mask=values["ppm"],
        bgcolor=values["bgc"],
        force_return_bytes=True,
    )
    assert isinstance(body, bytes)
    return Product(body, "image/png", Report())


TASKS: dict[str, Callable[[Files, Values], Product]] = {
    "cutout": _cutout,
    "trimap": _trimap,
    "alpha": _alpha,
    "removebg": _removebg,
    "rembg": _rembg,
}
