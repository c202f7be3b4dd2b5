"""`trimatte train`: what can be trained, one file `train_NAME.py` each."""

from __future__ import annotations

from trimatte.cli import Verbs

command = Verbs(
    {
        "alpha": "Train a network that estimates alpha.",
        "light": "Train the network of the method light.",
        "glance": "Train the second decoder of the method glance.",
        "clicks": "Train the decoder of clicks, which answers what is pointed at.",
        "hybrid": "Train the network inside the method hybrid.",
        "classes": "List the classes of segmentation sets, with a verdict on each.",
        "pack": "Pack a training set of the segmenter into a few files.",
        "segmenter": "Train the light network that finds the subject.",
    },
    prefix="train_",
    name="train",
    help="Train the networks. Needs the extra `train`.",
)
