"""`trimatte train`: what can be trained, one file `train_NAME.py` each."""

from __future__ import annotations

from trimatte.cli import Verbs

command = Verbs(
    {"alpha": "Train a network that estimates alpha."},
    prefix="train_",
    name="train",
    help="Train the networks. Needs the extra `train`.",
)
