"""A node for ComfyUI: picture to cut-out and mask. Copy this folder to custom_nodes/trimatte; trimatte is installed."""

import numpy as np

import trimatte

WORDS = ("balanced", "fast", "best")
"""Qualities, which choose the method."""


class TrimatteCutout:
    """Cut the subject out of each picture of a batch."""

    CATEGORY = "image/matting"
    FUNCTION = "cut_out"
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("foreground", "alpha")

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 # as the host calls it
        return {
            "required": {
                "image": ("IMAGE",),
                "segmenter": (list(trimatte.segmenters()), {"default": "lite"}),
                "method": ([*WORDS, "closed-form", "hybrid", "knn", "shared", "glance"], {"default": "balanced"}),
            },
            "optional": {"trimap": ("MASK",)},
        }

    def cut_out(self, image, segmenter, method, trimap=None):
        """Tensors (B, H, W, 3) and (B, H, W) in [0, 1] to the subject's colours and alpha, of the same shapes.

        Fewer trimaps than pictures serve in turn. One of zeros is none: hosts give such to pictures without a mask.
        """
        import torch

        way = {"quality" if method in WORDS else "method": method}
        none = np.zeros((1, 1, 1), np.float32)
        trimaps = none if trimap is None else trimap.float().cpu().numpy().reshape(-1, *trimap.shape[-2:])
        results = []
        for number, picture in enumerate(image.float().cpu().numpy()):
            known = trimaps[number % len(trimaps)]
            given = {"trimap": known} if known.any() else {"segmenter": segmenter}
            results.append(trimatte.cutout(np.clip(picture, 0, 1), **way, **given))
        colours, alphas = zip(*((result.foreground, result.alpha) for result in results), strict=True)
        return torch.from_numpy(np.stack(colours)), torch.from_numpy(np.stack(alphas))


NODE_CLASS_MAPPINGS = {"TrimatteCutout": TrimatteCutout}
NODE_DISPLAY_NAME_MAPPINGS = {"TrimatteCutout": "Cut out (trimatte)"}
