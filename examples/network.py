"""Compare closed-form, hybrid and a network in an ONNX file, made and added on the spot; nothing is downloaded.

python examples/network.py [RESULT]

The network is a toy: it blurs the trimap. Any matting network takes the same way: a card, `models add`, a name.
Needs the package onnx, which writes the file.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

CARD = """
name = "blur"
task = "matting"
purpose = "An example: the mean of the trimap over 15 x 15 pixels."

[input]
inputs = [["picture", "trimap"]]
window = 256
multiple = 32
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]

[output]
kind = "probability"
"""

target = sys.argv[1] if len(sys.argv) > 1 else "network.json"
with tempfile.TemporaryDirectory() as folder:
    os.environ["TRIMATTE_DATA"] = folder  # instead of the user's data folder

    kernel = np.zeros((1, 4, 15, 15), np.float32)
    kernel[0, 3] = 1 / 15**2
    graph = helper.make_graph(
        [helper.make_node("Conv", ["input", "kernel"], ["alpha"], pads=[7, 7, 7, 7])],
        "blur",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 4, "height", "width"))],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, (1, 1, "height", "width"))],
        [onnx.numpy_helper.from_array(kernel, "kernel")],
    )
    file = Path(folder, "blur.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), file)

    from trimatte.evaluation.runs import evaluate
    from trimatte.evaluation.summary import summarize
    from trimatte.evaluation.synthetic import synthesize
    from trimatte.segmentation import registry
    from trimatte.segmentation.cards import read_card

    registry.add(file, read_card(CARD))
    scenes = synthesize(Path(folder, "scenes"), count=2, size=(128, 128), kinds=("hair", "foliage"))
    rows = summarize(evaluate(scenes, ["closed-form", "hybrid", "blur"]).records)

for row in rows:
    print(f"{row.method:<12} given {row.given}: SAD {row.means['sad']:.3f}, {row.seconds:.2f} s on {row.device}")
Path(target).write_text(json.dumps([row.as_dict() for row in rows], indent=1))
print(target)
