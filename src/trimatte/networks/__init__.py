"""Torch modules of published networks and of our own, one file each. Needs the extra `torch`."""
