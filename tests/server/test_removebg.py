"""The address for clients of remove.bg."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")

from PIL import Image
from starlette.testclient import TestClient

from trimatte.server.problems import Problem
from trimatte.server.removebg import error_response
from trimatte.server.work_removebg import cut_out

PATH = "/v1.0/removebg"
IMAGE = {"image_file": ("photo.jpg", b"photo")}


def error(response: Any, status: int, code: str) -> str:
    """The detail of an error in remove.bg's form, which has to be that one."""
    assert response.status_code == status, response.text
    (told,) = response.json()["errors"]
    assert told["code"] == code
    assert told["title"]
    detail: str = told["detail"]
    return detail


def values(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    seen: dict[str, Any] = response.json()["values"]
    return seen


def test_a_file(client: TestClient) -> None:
    response = client.post(PATH, files=IMAGE, data={"image_url": "", "bg_color": ""})
    assert response.json()["files"] == {"image": 5}
    assert response.headers["content-type"] == "image/png"
    assert values(response) == {
        "most": 250_000,
        "roi": None,
        "crop": False,
        "margins": [[0.0, "px"]] * 4,
        "only_alpha": False,
        "colour": None,
        "format": "png",
        "max_pixels": 25_000_000,
        "work_seconds": 60.0,
    }


def test_the_account_has_credits(client: TestClient) -> None:
    attributes = client.get("/v1.0/account").json()["data"]["attributes"]
    assert attributes["credits"]["total"] > 0
    assert attributes["api"]["free_calls"] > 0


def test_every_error_below_the_version_has_their_form(client: TestClient, make_client: Any) -> None:
    error(client.get("/v1.0/nothing"), 404, "not_found")
    error(client.post("/v1.0/improve", content=b"x"), 404, "not_found")
    error(client.get(PATH), 405, "method_not_allowed")
    error(client.post("/v1.0/account"), 405, "method_not_allowed")
    error(client.get("/v1.0/account", headers={"host": "rebound.example"}), 421, "wrong_host")
    error(client.post(PATH, content=b"x", headers={"origin": "https://evil.example"}), 403, "foreign_origin")
    guarded = make_client(token="t" * 20)
    error(guarded.get("/v1.0/account"), 403, "auth_failed")
    assert guarded.get("/v1.0/account", headers={"x-api-key": "t" * 20}).status_code == 200


def test_base64_in_every_kind_of_body(client: TestClient) -> None:
    text = base64.b64encode(b"photo+/?").decode()
    for encoded in (text, f"data:image/jpeg;base64,{text}"):
        fields = {"image_file_b64": encoded, "size": "full"}
        for sent in ({"data": fields}, {"json": fields}, {"files": {name: (None, v) for name, v in fields.items()}}):
            response = client.post(PATH, **sent)
            assert response.json()["files"] == {"image": 8}
            assert values(response)["most"] == 25_000_000


def test_what_a_client_may_ask_for(client: TestClient) -> None:
    asked = {
        "size": "hd",
        "format": "auto",
        "roi": "0% 10px 100% 90%",
        "crop": "true",
        "crop_margin": "30px 10%",
        "bg_color": "81d4fa",
        "type": "person",
        "add_shadow": "false",
        "position": "original",
    }
    response = client.post(PATH, files=IMAGE, data=asked)
    assert response.headers["content-type"] == "image/jpeg"
    seen = values(response)
    assert seen["roi"] == [[0, "%"], [10, "px"], [100, "%"], [90, "%"]]
    assert seen["margins"] == [[30, "px"], [10, "%"], [30, "px"], [10, "%"]]
    assert seen["colour"] == [0x81, 0xD4, 0xFA]
    assert seen["most"] == 4_000_000
    as_json = client.post(PATH, json={"image_file_b64": "AAAA", "crop": True, "crop_margin": "5%", "bg_color": None})
    assert values(as_json)["crop"] is True


def test_an_answer_as_json(client: TestClient) -> None:
    response = client.post(PATH, files=IMAGE, headers={"accept": "application/json"})
    data = response.json()["data"]
    assert base64.b64decode(data.pop("result_b64")).startswith(b'{"task": "removebg"')
    assert data == {f"foreground_{side}": 1 for side in ("top", "left", "width", "height")}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"image_url": "http://169.254.169.254/latest"}, "image_url: no addresses are fetched"),
        ({"bg_image_url": "file:///etc/passwd"}, "bg_image_url: no addresses are fetched"),
        ({"size": "huge"}, "size"),
        ({"format": "zip"}, "png, jpg, webp"),
        ({"crop_margin": "10"}, "lengths"),
        ({"crop_margin": "1px 2px 3px"}, "lengths"),
        ({"crop_margin": "99999px"}, "lengths"),
        ({"roi": "1px 2px"}, "lengths"),
        ({"scale": "50%"}, "scale"),
        ({"add_shadow": "true"}, "add_shadow"),
        ({"bg_color": "00000000"}, "opaque colour"),
        ({"unheard_of": "1"}, "unheard_of"),
    ],
)
def test_what_is_refused(client: TestClient, data: dict[str, str], words: str) -> None:
    assert words in error(client.post(PATH, files=IMAGE, data=data), 400, "bad_parameter")


def test_bodies_that_are_refused(client: TestClient) -> None:
    assert "image_file" in error(client.post(PATH, files={"photo": ("a", b"x")}), 400, "bad_body")
    assert "image_file" in error(client.post(PATH, json={"size": "full"}), 400, "bad_body")
    error(client.post(PATH, files=IMAGE, data={"image_file_b64": "AAAA"}), 400, "bad_body")
    error(client.post(PATH, json={"image_file_b64": "not base64!"}), 400, "bad_parameter")
    error(client.post(PATH, json={"image_file_b64": "AAAA", "size": {}}), 400, "bad_parameter")
    error(client.post(PATH, json=["AAAA"]), 400, "bad_body")
    headers = {"content-type": "application/json"}
    error(client.post(PATH, content=b"{", headers=headers), 400, "bad_body")
    for deep in (b"[" * 100_000, b'{"a":' * 100, b"1" * 5000, b"[" + b"1," * 1000 + b"1]", b"\xff"):
        error(client.post(PATH, content=deep, headers=headers), 400, "bad_body")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for escaped in (b"a=" + b"%41" * 3000, b"&" * 100):
        error(client.post(PATH, content=escaped, headers=headers), 400, "bad_body")
    error(client.post(PATH, content=b"photo", headers={"content-type": "image/png"}), 400, "invalid_file_type")
    both = {**IMAGE, "bg_image_file": ("b", b"x")}
    error(client.post(PATH, files=both, data={"bg_color": "fff"}), 400, "bad_parameter")


def test_errors_have_the_form_that_clients_know(make_client: Any) -> None:
    client = make_client(token="t" * 20)
    error(client.post(PATH, files=IMAGE), 403, "auth_failed")
    client.headers["x-api-key"] = "t" * 20
    assert client.post(PATH, files=IMAGE).status_code == 200
    busy = error_response(Problem("busy", "Many.", headers={"Retry-After": "3"}))
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "3")
    assert json.loads(bytes(busy.body))["errors"][0]["code"] == "rate_limit_exceeded"
    raised = {"SubjectNotFoundError": "unknown_foreground", "ImageTooLargeError": "resolution_too_high"}
    for name, code in raised.items():
        error(client.post(PATH, files={"image_file": ("a", f"raise {name}".encode())}), 400, code)


def photo_with_a_disc(height: int, width: int, radius: float, centre: tuple[float, float]) -> bytes:
    """PNG of a light disc before a dark background."""
    y, x = np.mgrid[:height, :width]
    inside = np.clip(radius - np.hypot(y - centre[0], x - centre[1]) + 0.5, 0, 1)[..., None]
    mixed = inside * (240, 210, 190) + (1 - inside) * (10, 20, 60)
    stream = io.BytesIO()
    Image.fromarray(mixed.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def disc(monkeypatch: pytest.MonkeyPatch, bright: str) -> bytes:
    """A photo (120, 160) of a disc of radius 30 about (50, 60), and a segmenter that finds it."""
    import trimatte

    plain = trimatte.cutout
    monkeypatch.setattr(trimatte, "cutout", lambda *given, **options: plain(*given, segmenter=bright, **options))
    return photo_with_a_disc(120, 160, 30, (50, 60))


def made(photo: bytes, behind: bytes | None = None, **options: Any) -> tuple[np.ndarray, dict[str, str]]:
    plain: dict[str, Any] = {
        "most": 1_000_000,
        "roi": None,
        "crop": False,
        "margins": [(0.0, "px")] * 4,
        "only_alpha": False,
        "colour": None,
        "format": "png",
        "max_pixels": 1_000_000,
    }
    result = cut_out(photo, behind, **{**plain, **options})
    return np.asarray(Image.open(io.BytesIO(result.body))), result.headers


def test_the_whole_photo(disc: bytes) -> None:
    rgba, headers = made(disc)
    assert rgba.shape == (120, 160, 4)
    assert rgba[50, 60, 3] == 255
    assert rgba[110, 10, 3] == 0
    assert (headers["X-Width"], headers["X-Height"]) == ("160", "120")
    for side, value in (("Top", 20), ("Left", 30), ("Width", 61), ("Height", 61)):
        assert abs(int(headers[f"X-Foreground-{side}"]) - value) <= 3


def test_scaled_down(disc: bytes) -> None:
    rgba, headers = made(disc, most=4800)
    assert rgba.shape[:2] == (60, 80)
    assert rgba[25, 30, 3] == 255
    assert abs(int(headers["X-Foreground-Left"]) - 15) <= 3


def test_cropped_with_margins_that_leave_the_photo(disc: bytes) -> None:
    rgba, headers = made(disc, crop=True, margins=[(40.0, "px"), (100.0, "%"), (0.0, "px"), (10.0, "%")])
    width, height = int(headers["X-Foreground-Width"]), int(headers["X-Foreground-Height"])
    assert rgba.shape[:2] == (height + 40, round(0.1 * width) + 2 * width)
    assert not rgba[:38, :, 3].any()
    assert rgba[40 + height // 2, round(0.1 * width) + width // 2, 3] == 255


def test_margins_that_would_make_a_giant(disc: bytes) -> None:
    with pytest.raises(ValueError, match=r"crop_margin: got a result of 100.. x 100.. pixels"):
        made(disc, crop=True, margins=[(5000.0, "px")] * 4)


@pytest.mark.parametrize("format", ["png", "jpeg"])
@pytest.mark.parametrize("only_alpha", [False, True])
def test_the_resolution_is_kept(disc: bytes, format: str, only_alpha: bool) -> None:
    stream = io.BytesIO()
    Image.open(io.BytesIO(disc)).save(stream, "JPEG", quality=95, dpi=(300, 300))
    plain = {"roi": None, "crop": False, "margins": [(0.0, "px")] * 4, "colour": None, "max_pixels": 1_000_000}
    result = cut_out(stream.getvalue(), None, most=4800, only_alpha=only_alpha, format=format, **plain)
    assert round(Image.open(io.BytesIO(result.body)).info["dpi"][0]) == 300


def test_a_region(disc: bytes) -> None:
    rgba, _ = made(disc, roi=[(0.0, "px"), (0.0, "px"), (60.0, "px"), (100.0, "%")])
    assert rgba.shape == (120, 160, 4)
    assert rgba[50, 50, 3] == 255
    assert not rgba[:, 61:, 3].any()
    with pytest.raises(ValueError, match="roi"):
        made(disc, roi=[(50.0, "%"), (0.0, "px"), (20.0, "px"), (100.0, "%")])


def test_backgrounds(disc: bytes) -> None:
    teal, _ = made(disc, colour=(0, 128, 128))
    assert teal[110, 10].tolist() == [0, 128, 128]
    picture, _ = made(disc, photo_with_a_disc(12, 16, 99, (0, 0)))
    assert picture[110, 10].tolist() == [240, 210, 190]
    white, _ = made(disc, format="jpeg")
    assert white[110, 10].min() > 250
    alpha, _ = made(disc, only_alpha=True)
    assert alpha.shape == (120, 160)
    assert (alpha[50, 60], alpha[110, 10]) == (255, 0)
