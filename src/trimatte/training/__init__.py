"""Data, losses and loops that made the shipped weights. Needs the extra `train`."""
