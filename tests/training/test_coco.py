"""COCO's regions: run lengths and polygons against slow twins and against what pycocotools makes of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tiny_sets import coco_json, packed, runs_of

from trimatte.errors import ArgumentError
from trimatte.training.coco import polygon_mask, read_coco, run_mask, unpacked

masks = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))
points = arrays.arrays(np.float64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.floats(-9, 30, width=32))


@given(masks)
def test_runs_round_trip(mask):
    assert np.array_equal(run_mask(runs_of(mask), *mask.shape), mask)


@given(st.lists(st.integers(0, 100_000), max_size=30))
def test_packed_runs_round_trip(runs):
    assert unpacked(packed(runs)) == runs


def test_runs_as_pycocotools_packs_them():
    """pycocotools.mask.encode(np.asfortranarray(mask, np.uint8))["counts"] of pycocotools 2.0.11."""
    mask = np.zeros((13, 17), bool)
    mask[2:9, 3:7] = mask[5, 10:] = mask[12, 0] = True
    assert np.array_equal(run_mask(unpacked("<1l06ZO00000Z1JlN00000000000K"), 13, 17), mask)
    assert run_mask(unpacked("m6"), 13, 17).sum() == 0
    assert run_mask(unpacked("0m6"), 13, 17).all()


@settings(max_examples=30)
@given(points)
def test_polygons_hold_the_centres_inside(polygon):
    """Even and odd, counted for each pixel by itself."""
    wanted = np.zeros((21, 17), bool)
    for row, column in np.ndindex(wanted.shape):
        y = row + 0.5
        crossings = 0
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if (y0 <= y) != (y1 <= y):
                crossings += (x0 - 0.5) + (row - (y0 - 0.5)) * (x1 - x0) / ((y1 - 0.5) - (y0 - 0.5)) <= column
        wanted[row, column] = crossings % 2 == 1
    assert np.array_equal(polygon_mask(polygon, 21, 17), wanted)


def test_polygon_of_whole_pixels():
    mask = polygon_mask(np.array([[2, 1], [5, 1], [5, 4], [2, 4]]), 6, 7)
    assert mask.sum() == 9
    assert mask[1:4, 2:5].all()


def test_several_polygons_are_one_region(tmp_path):
    data = coco_json("polygons", ["a.jpg"])
    data["annotations"][0]["segmentation"] = [[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3]]
    (tmp_path / "x.json").write_text(json.dumps(data))
    (photo,), names = read_coco(tmp_path / "x.json")
    assert names == {"18": "dog"}
    assert photo.annotations[0].mask(48, 64).sum() == 7
    assert [annotation.crowd for annotation in photo.annotations] == [False, True]


# What is wrong


def test_damaged_strings():
    with pytest.raises(ArgumentError, match="broken off"):
        unpacked("P")
    with pytest.raises(ArgumentError, match="character '!'"):
        unpacked("m!")


def test_no_json(tmp_path):
    (tmp_path / "x.json").write_text('{"images": [')
    with pytest.raises(ArgumentError, match=r"x\.json: not a json file"):
        read_coco(tmp_path / "x.json")
    with pytest.raises(ArgumentError, match=r"y\.json: not a json file"):
        read_coco(tmp_path / "y.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("categories"), "not COCO's annotations: KeyError 'categories'"),
        (lambda data: data["annotations"][0].pop("segmentation"), "KeyError 'segmentation'"),
        (lambda data: data["annotations"][0].update(image_id=7), "KeyError 7"),
        (lambda data: data["annotations"][0].update(category_id=5), "annotation 0: category 5 is none of its"),
        (lambda data: data["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "wanted polygons of three points"),
        (lambda data: data["annotations"][0].update(segmentation=[]), "wanted polygons of three points"),
        (
            lambda data: data["annotations"][1]["segmentation"]["counts"].append(5),
            "do not add up to the photo's 64 x 48",
        ),
        (
            lambda data: data["annotations"][1]["segmentation"].update(counts="P"),
            "annotation 1: run lengths: .*broken off",
        ),
        (lambda data: data["annotations"][1]["segmentation"].update(size=[64, 48]), r"run lengths for \[64, 48\]"),
    ],
)
def test_bad_annotations(tmp_path, change, message):
    data = coco_json("polygons", ["a.jpg"])
    change(data)
    (tmp_path / "x.json").write_text(json.dumps(data))
    with pytest.raises(ArgumentError, match=message):
        read_coco(tmp_path / "x.json")
