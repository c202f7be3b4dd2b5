"""What workers do, on small photos in this process."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")

from PIL import Image

import trimatte
from trimatte.alpha import coarse_to_fine
from trimatte.alpha.methods import METHODS
from trimatte.cutout import Cutout, matting_of
from trimatte.errors import (
    ArgumentError,
    ImageFormatError,
    ImageReadError,
    ImageTooLargeError,
    SubjectNotFoundError,
)
from trimatte.quality import WAYS, chosen
from trimatte.server import work
from trimatte.server.operations import operations
from trimatte.server.parameters import parse_parameters
from trimatte.server.problems import Problem


def encoded(array: np.ndarray, format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format)
    return stream.getvalue()


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


LIMITS = {"max_pixels": 20_000, "work_seconds": 60.0}


def run(task: str, files: dict[str, bytes], **given: str) -> work.Product:
    """Do a task as a request with these parameters would, but for segmenters that only tests know."""
    (operation,) = [each for each in operations() if each.name == task]
    segmenter = given.pop("segmenter", None)
    values = operation.parse(given.items())
    if segmenter:
        values["segmenter"] = segmenter
    if values.get("format", "") is None:
        values["format"] = "png"
    operation.check(values)
    return work.run(task, files, {**values, **LIMITS})


@pytest.fixture
def photo_bytes(photo: np.ndarray) -> bytes:
    return encoded(photo)


@pytest.fixture
def trimap_bytes(trimap: np.ndarray) -> bytes:
    return encoded(trimap)


def test_cutout(photo_bytes: bytes, truth: np.ndarray, bright: str) -> None:
    product = run("cutout", {"image": photo_bytes}, segmenter=bright)
    assert product.media_type == "image/png"
    rgba = decoded(product.body)
    assert rgba.shape == (*truth.shape, 4)
    assert np.abs(rgba[..., 3] / 255 - truth).mean() < 0.03
    report = product.report
    assert (report.subject, report.quality, report.method) == (True, "balanced", "light")
    assert report.unknown > 0
    assert {"read", "segment", "alpha"} <= set(report.seconds)


def test_cutout_by_a_method_without_a_trimap(photo_bytes: bytes) -> None:
    product = run("cutout", {"image": photo_bytes}, method="glance")
    assert product.report.method == "glance"
    with pytest.raises(Problem, match="'method'"):
        run("alpha", {"image": photo_bytes, "trimap": photo_bytes}, method="glance")


def test_cutout_with_a_trimap_of_its_own(photo_bytes: bytes, trimap_bytes: bytes, truth: np.ndarray) -> None:
    product = run("cutout", {"image": photo_bytes, "trimap": trimap_bytes}, method="knn", foreground="keep")
    assert product.report.method == "knn"
    assert np.abs(decoded(product.body)[..., 3] / 255 - truth).mean() < 0.03


def test_cutout_cropped_over_a_colour(photo_bytes: bytes, trimap_bytes: bytes, truth: np.ndarray) -> None:
    given = {"crop": "true", "margin": "2", "background": "#00ff00", "format": "jpeg", "quality": "90"}
    product = run("cutout", {"image": photo_bytes, "trimap": trimap_bytes}, **given)
    assert product.media_type == "image/jpeg"
    rgb = decoded(product.body)
    rows, columns = np.nonzero(truth > 0.05)
    assert abs(rgb.shape[0] - (np.ptp(rows) + 5)) < 6
    assert abs(rgb.shape[1] - (np.ptp(columns) + 5)) < 6
    assert rgb[0, 0, 1] > 200 > 60 > rgb[0, 0, 0]


def test_rembgs_address(photo_bytes: bytes, photo: np.ndarray, bright: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimatte.server.operations.served_segmenters", lambda: ("lite", bright))
    mask = decoded(run("rembg", {"file": photo_bytes}, model=bright, om="true").body)
    assert mask.shape == photo.shape[:2]
    rgba = decoded(run("rembg", {"file": photo_bytes}, model=bright, a="true", ae="3", bgc="0,255,0,255").body)
    assert (rgba[0, 0] == (0, 255, 0, 255)).all()
    np.testing.assert_array_equal(rgba[36, 43], (*photo[36, 43], 255))


def test_rembgs_address_keeps_what_is_transparent(
    photo: np.ndarray, bright: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is it made opaque, nor do colours that it hides decide anything."""
    monkeypatch.setattr("trimatte.server.operations.served_segmenters", lambda: ("lite", bright))
    own = np.full(photo.shape[:2], 255, np.uint8)
    own[:, :40] = 0
    other = np.where(own[..., None] > 0, photo, 255 - photo)
    first, second = (
        run("rembg", {"file": encoded(np.dstack([colours, own]))}, model=bright).body for colours in (photo, other)
    )
    assert first == second
    rgba = decoded(first)
    assert not rgba[:, :40, 3].any()
    assert rgba[36, 48, 3] == 255


def test_rembgs_clients_send_fields_that_they_leave_empty() -> None:
    (rembg,) = [each for each in operations() if each.name == "rembg"]
    assert rembg.parse([("model", ""), ("bgc", ""), ("a", ""), ("ae", "3")]) == rembg.parse([("ae", "3")])
    with pytest.raises(Problem, match="model"):
        rembg.parse([("model", "u3net")])


@pytest.mark.parametrize("bgc", ["1,2,3", "1,2,3,256", "a,b,c,d", "1,2,3,4,5", "1" * 80])
def test_rembgs_colours_are_four_numbers(photo_bytes: bytes, bgc: str) -> None:
    with pytest.raises(Problem, match="four numbers"):
        run("rembg", {"file": photo_bytes}, bgc=bgc)


def test_a_preset_and_the_matte_alone(photo_bytes: bytes, trimap_bytes: bytes) -> None:
    files = {"image": photo_bytes, "trimap": trimap_bytes}
    way = {"method": "closed-form"}
    shop = decoded(run("cutout", files, **way, preset="marketplace", size="90x90", format="png").body)
    assert shop.shape == (90, 90, 3)
    assert (shop[:6] == 255).all()
    shop = decoded(run("cutout", files, **way, preset="marketplace", size="120x120", format="jpeg").body)
    assert (shop[:8] == 255).all()  # blocks of 8 x 8 pixels that hold nothing of the subject: the margin is 9 pixels
    matte = decoded(run("cutout", files, **way, output="matte", crop="true", margin="5%", format="jpeg").body)
    assert matte.ndim == 2
    with pytest.raises(Problem, match="margin"):
        run("cutout", files, margin="5%")
    with pytest.raises(ArgumentError, match="20000 at most"):
        run("cutout", files, size="200x200")


def test_a_photo_without_a_subject_is_told(bright: str) -> None:
    dark = encoded(np.zeros((40, 60, 3), np.uint8))
    product = run("cutout", {"image": dark}, segmenter=bright)
    assert not product.report.subject
    assert any("no subject" in warning for warning in product.report.warnings)
    assert not decoded(product.body)[..., 3].any()
    with pytest.raises(SubjectNotFoundError):
        run("cutout", {"image": dark}, segmenter=bright, strict="true")
    with pytest.raises(SubjectNotFoundError):
        run("trimap", {"image": dark}, segmenter=bright, strict="true")


def test_trimap(photo_bytes: bytes, truth: np.ndarray, bright: str) -> None:
    product = run("trimap", {"image": photo_bytes}, segmenter=bright, band_pixels="6")
    known = decoded(product.body)
    assert set(np.unique(known)) == {0, 128, 255}
    assert (truth[known == 255] == 1).mean() > 0.9
    assert product.report.band == 6


def test_answers_have_the_photos_resolution(
    photo: np.ndarray, trimap_bytes: bytes, bright: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimatte.server.operations.served_segmenters", lambda: ("lite", bright))
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=95, dpi=(300, 300))
    files = {"image": stream.getvalue(), "trimap": trimap_bytes}
    answers = [run("trimap", {"image": files["image"]}, segmenter=bright), run("alpha", files), run("cutout", files)]
    answers += [run("rembg", {"file": files["image"]}, model=bright, om=mask) for mask in ("false", "true")]
    for answer in answers:
        assert round(Image.open(io.BytesIO(answer.body)).info["dpi"][0]) == 300


def test_a_shadow_that_there_is_not_is_in_the_report(bright: str) -> None:
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[20:, 30:50] = 240
    product = run("cutout", {"image": encoded(photo)}, segmenter=bright, cast_shadow="contact")
    assert any("no shadow on the ground" in text for text in product.report.warnings)


@pytest.mark.parametrize("task", ["trimap", "cutout"])
def test_the_band_may_follow_what_the_photo_shows(task: str, photo_bytes: bytes, bright: str) -> None:
    plain, adaptive = (
        run(task, {"image": photo_bytes}, segmenter=bright, adaptive_band=value) for value in ("false", "true")
    )
    assert (decoded(plain.body) != decoded(adaptive.body)).any()


def test_alpha(photo_bytes: bytes, trimap_bytes: bytes, trimap: np.ndarray, truth: np.ndarray) -> None:
    for bits, white in (("8", 255), ("16", 65535)):
        product = run("alpha", {"image": photo_bytes, "trimap": trimap_bytes}, bits=bits)
        alpha = decoded(product.body) / white
        assert np.array_equal(alpha[trimap != 128], truth[trimap != 128])
        assert np.abs(alpha - truth).mean() < 0.02
    assert len(np.unique(decoded(product.body))) > 256  # of 16 bits


@pytest.mark.parametrize(
    ("image", "second", "error", "words"),
    [
        (b"", None, ImageReadError, "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None, ImageFormatError, "known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", None, ImageFormatError, "known format"),
        ("truncated", None, ImageReadError, "truncated"),
        ("large", None, ImageTooLargeError, "limit of 0.02 megapixels"),
        ("photo", "large", ImageTooLargeError, "limit of 0.02 megapixels"),
        ("photo", "other size", ArgumentError, "trimap"),
        ("photo", "coloured", ArgumentError, "grey"),
        ("photo", b"GIF89a", ImageReadError, "cannot read"),
    ],
)
@pytest.mark.parametrize("task", ["cutout", "alpha"])
def test_bad_pictures(
    task: str, image: Any, second: Any, error: type[Exception], words: str, photo_bytes: bytes, trimap_bytes: bytes
) -> None:
    content = {
        "photo": photo_bytes,
        "truncated": photo_bytes[:-300],
        "large": encoded(np.zeros((200, 101), np.uint8)),
        "other size": encoded(np.zeros((72, 95), np.uint8)),
        "coloured": photo_bytes,
    }
    files = {"image": content.get(image, image), "trimap": content.get(second, second) or trimap_bytes}
    with pytest.raises(error, match=words):
        run(task, files)


def test_a_bomb_is_refused_by_its_header() -> None:
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1_000_000))) + chunk(b"IEND", b"")
    for task in ("cutout", "trimap"):
        with pytest.raises(ImageTooLargeError, match="50000 x 50000"):
            run(task, {"image": bomb})


def test_warm_up_uses_what_requests_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every quality, with a trimap and without: the first `best` of a service used to compile for a minute."""
    used = []
    cutout = trimatte.cutout

    def noted(*given: np.ndarray, **options: Any) -> Cutout:
        result = cutout(*given, **options)
        used.append(result.report.alpha.method)
        return result

    monkeypatch.setattr(trimatte, "cutout", noted)
    work.warm_up()
    assert {chosen(quality, drawn=drawn).method for quality in WAYS for drawn in (False, True)} == set(used)


@pytest.mark.parametrize("task", ["cutout", "alpha"])
def test_what_would_take_too_long_is_done_smaller_and_said(
    task: str, photo_bytes: bytes, trimap_bytes: bytes, trimap: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method by name sees all that is unknown, as far as there is time for it."""
    files = {"image": photo_bytes, "trimap": trimap_bytes}
    plain = run(task, files, method="hybrid").report
    unknown = int(np.count_nonzero(trimap == 128))
    assert not any("too long" in warning for warning in plain.warnings)
    cost = METHODS["hybrid"].cost / 1e6
    monkeypatch.setattr(work, "available_threads", lambda: 1)
    for seconds, reduced in ((2 * unknown * cost, False), (0.3 * unknown * cost, True)):
        monkeypatch.setitem(LIMITS, "work_seconds", seconds / work.ALPHA_SHARE)
        warnings = run(task, files, method="hybrid").report.warnings
        told = f"hybrid would take too long for {unknown} unknown pixels: alpha was computed at 1/2 of the size"
        assert (told in warnings) == reduced
    assert run(task, files, method="closed-form").report.warnings == []  # which takes a tenth of the time


def test_colours_that_would_take_too_long_are_multilevels(
    photo_bytes: bytes, trimap_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"image": photo_bytes, "trimap": trimap_bytes}
    assert run("cutout", files, foreground="closed-form").report.warnings == []
    monkeypatch.setitem(LIMITS, "work_seconds", 1e-4)
    monkeypatch.setattr(work, "matting_in_time", lambda stages, _: matting_of(stages))
    short = run("cutout", files, foreground="closed-form")
    assert any("closed-form would take too long for the colours" in warning for warning in short.report.warnings)
    assert short.body == run("cutout", files, foreground="multilevel").body


def test_the_quality_s_own_reduction_is_no_matter_of_time(
    photo_bytes: bytes, trimap_bytes: bytes, trimap: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a word a large picture is always done smaller: that is said only if there is less time than it takes."""
    from trimatte import quality

    unknown = int(np.count_nonzero(trimap == 128))
    bound = unknown // 3
    way = quality.Way("lite", "hybrid", bound // quality.DRAWN)
    monkeypatch.setitem(quality.WAYS, "best", way)
    monkeypatch.setattr(work, "available_threads", lambda: 1)
    files = {"image": photo_bytes, "trimap": trimap_bytes}
    cost = METHODS["hybrid"].cost / 1e6
    for most, told in ((2 * bound, False), (bound // 3, True)):  # both less than is unknown
        monkeypatch.setitem(LIMITS, "work_seconds", most * cost / work.ALPHA_SHARE)
        report = run("cutout", files, quality="best").report
        assert any("too long" in warning for warning in report.warnings) == told


@pytest.mark.parametrize("method", ["hybrid", "light", "light-closed-form"])
def test_a_method_that_sees_a_smaller_picture_first_has_time_for_any(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "available_threads", lambda: 2)
    assert METHODS[method].bounded >= coarse_to_fine.COARSE + coarse_to_fine.FINE >= coarse_to_fine.MOST
    assert work.most_unknown(method, 60) is None
    assert 0 < (work.most_unknown(method, 10) or 0) < METHODS[method].bounded
    assert (work.most_unknown("knn", 60) or 0) > coarse_to_fine.MOST


def test_a_method_of_unknown_cost_is_left_to_the_clock() -> None:
    assert work.most_unknown("modnet", 60) is None


def test_a_worker_process(photo_bytes: bytes, trimap_bytes: bytes) -> None:
    """What this process does with a request, a worker does, and tells in JSON."""
    from trimatte.server import removebg
    from trimatte.server.bodies import Form
    from trimatte.server.worker import Worker

    worker = Worker("trimatte.server.work", 1)
    try:
        worker.wait_ready(300)
        files = {"image": photo_bytes, "trimap": trimap_bytes, "file": photo_bytes}
        for operation in operations():
            values = {**parse_parameters(operation.parameters, []), **LIMITS}
            if "format" in values:
                values["format"] = "png"
            reply = worker.exchange(operation.name, files, values)
            assert (reply.error, reply.media_type) == ("", "image/png")
            assert decoded(reply.body).shape[:2] == (72, 96)
            assert reply.report.get("converged", operation.name == "rembg") is True
        form = Form([("size", "full")], {"image_file": photo_bytes})
        taken, values = removebg.request_of(form)
        reply = worker.exchange("removebg", taken, {**values, **LIMITS})
        assert reply.error in ("", "SubjectNotFoundError")  # what a network thinks of a disc is not of this test
        reply = worker.exchange("removebg", {"image": b"no picture"}, {**values, **LIMITS})
        assert reply.error == "ImageFormatError"
    finally:
        worker.kill()
        worker.close()


def test_what_is_pointed_at(photo: np.ndarray, photo_bytes: bytes) -> None:
    twice = encoded(np.concatenate([photo, photo], axis=1))
    width = photo.shape[1]
    for given in ({"points": "25%,50%", "not_points": f"{width + width // 2},36"}, {"box": f"0,0,{width},72"}):
        alpha = decoded(run("cutout", {"image": twice}, **given).body)[..., 3] / 255
        assert alpha[:, :width].mean() > 3 * alpha[:, width:].mean()
        known = decoded(run("trimap", {"image": twice}, **given).body)
        assert (known[:, :width] == 255).sum() > 3 * (known[:, width:] == 255).sum()
    with pytest.raises(ArgumentError, match="outside of the photo of 96 x 72 pixels"):
        run("cutout", {"image": photo_bytes}, points="96,10")


def test_prompts_with_a_trimap_or_a_segmenter_that_takes_none(
    photo_bytes: bytes, trimap_bytes: bytes, bright: str
) -> None:
    with pytest.raises(ArgumentError, match=r"points: .*a trimap was given"):
        run("cutout", {"image": photo_bytes, "trimap": trimap_bytes}, points="9,9")
    for task in ("cutout", "trimap"):
        with pytest.raises(ArgumentError, match="segmenter: 'bright' takes no points"):
            run(task, {"image": photo_bytes}, segmenter=bright, points="9,9")


def test_quality_is_a_word_for_the_way_and_a_number_for_the_file(photo_bytes: bytes, bright: str) -> None:
    given = {"format": "webp", "background": "red", "segmenter": bright}
    word = run("cutout", {"image": photo_bytes}, quality="fast", **given)
    assert (word.report.quality, word.report.method) == ("fast", "closed-form")
    both = run("cutout", {"image": photo_bytes}, way="fast", quality="5", **given)
    assert both.report.quality == "fast"
    assert len(both.body) < len(word.body)
