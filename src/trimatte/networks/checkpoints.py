"""Public checkpoints of matting networks: which network a file holds, in whose layout, and its weights put in place.

A network is told by its keys and its variant by shapes. Where two variants share both, the caller is asked. A file that
does not fit exactly is refused with the keys that are missing, surplus or of another shape, under the file's own names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, cast

import torch
from torch import Tensor, nn

from trimatte.errors import ArgumentError, ModelError
from trimatte.networks.dim import CONVS_PER_LEVEL, DIM, DIMConfig
from trimatte.networks.gfm import GFM, BackboneName, GFMConfig, Scheme
from trimatte.networks.modnet import REPEATS, MODNet, MODNetConfig
from trimatte.networks.pickles import Inert, read_pickle

NetworkName = Literal["deep-image-matting", "modnet", "gfm"]
Config = DIMConfig | MODNetConfig | GFMConfig
State = dict[str, Tensor]

BUILDERS: dict[NetworkName, tuple[type[Any], Callable[[Any], nn.Module]]] = {
    "deep-image-matting": (DIMConfig, DIM),
    "modnet": (MODNetConfig, MODNet),
    "gfm": (GFMConfig, GFM),
}

# A key that only files of this layout have, and the network they hold.
_SIGNATURES: dict[str, tuple[str, NetworkName]] = {
    "huochaitiantang": ("conv1_1.weight", "deep-image-matting"),
    "mmagic": ("backbone.encoder.layer1.0.weight", "deep-image-matting"),
    "indexnet": ("conv11.weight", "deep-image-matting"),
    "foamliu": ("down1.conv1.cbr_unit.0.weight", "deep-image-matting"),
    "modnet": ("backbone.model.features.0.0.weight", "modnet"),
    "gfm": ("psp_module.bottleneck.weight", "gfm"),
}

# Networks that look like one of these and are none; a key that only their files have.
_OTHERS = {
    "AIM-Net (Li, Zhang and Tao, IJCAI 2021)": "decoder0_g_spatial.weight",
    "P3M-Net (Li, Ma, Zhang and Tao, ACM MM 2021)": "residualmodule0_s.conv1.weight",
}

# huochaitiantang's files hold the validation SAD (not divided by 1000) they were kept for; the one with skips got 52.9.
_SAD_WITHOUT_SKIPS = (54_350.0, 54_500.0)
_SAD_WITH_SKIPS = (52_850.0, 53_050.0)


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights.

    Attributes
    ----------
    network : Module
        In evaluation mode, on the CPU, single precision.
    name : NetworkName
        Which network it is.
    layout : str
        Whose key names the file has; "trimatte" for our own.
    config : Config
        The variant.
    notes : list of str
        What was inferred rather than read.
    """

    network: nn.Module
    name: NetworkName
    layout: str
    config: Config
    notes: list[str] = field(default_factory=list)


def load_checkpoint(
    path: str | Path, name: NetworkName, *, skips: bool | None = None, scheme: Scheme | None = None
) -> Checkpoint:
    """Read the weights of the network `name` from a public checkpoint or from one of our training.

    Parameters
    ----------
    path : str or path
        A file that `torch.save` wrote; nothing in it is run.
    skips : bool, optional
        For huochaitiantang's Deep Image Matting files: with or without skips, which their keys do not tell.
    scheme : Scheme, optional
        For GFM's two-class files: "FT" or "BT", which their keys do not tell either.

    Raises
    ------
    ModelError
        if the file cannot be read, holds another network, or does not fit.
    ArgumentError
        if it fits several variants and the option that decides is not given, or contradicts the file.
    """
    data = read_pickle(path)
    state = _state_of(data, path)
    layout = _layout_of(state, path)
    found = _SIGNATURES[layout][1]
    if found != name:
        raise ModelError(f"{path}: holds {found}, not {name}; say method={found!r}")
    notes: list[str] = []
    if isinstance(data, dict) and data.get("trimatte") == name:
        layout, config = "trimatte", _own_config(data, name, path)
    elif name == "deep-image-matting":
        config = _dim_config(state, layout, skips, data, path, notes)
    elif name == "modnet":
        config = _modnet_config(state)
    else:
        config = _gfm_config(state, scheme, path)
    network = _build_with(state, name, config, layout, path)
    return Checkpoint(network.eval(), name, layout, config, notes)


def save_checkpoint(file: str | Path | IO[bytes], network: nn.Module, name: NetworkName, **extra: Any) -> None:
    """Write a network in our own layout: its name, its variant, its weights, and what else is to be kept."""
    config = asdict(cast(Any, network).config)
    torch.save({"trimatte": name, "config": config, "state_dict": network.state_dict(), **extra}, file)


def _state_of(data: Any, path: str | Path) -> State:
    """The tensors by key, wherever the file keeps them, without the prefix of `DataParallel`."""
    if isinstance(data, Mapping):
        for key in ("state_dict", "model"):
            if isinstance(data.get(key), Mapping | Inert):
                return _state_of(data[key], path)
        state = {str(key): value for key, value in data.items() if isinstance(value, Tensor)}
    else:
        state = dict(_module_tensors(data, ""))
    if not state:
        raise ModelError(f"{path}: holds no weights")
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _module_tensors(module: Any, prefix: str) -> list[tuple[str, Tensor]]:
    """Parameters and buffers of a pickled module, of which only the attributes were kept."""
    parts = getattr(module, "__dict__", {})
    own = [*(parts.get("_parameters") or {}).items(), *(parts.get("_buffers") or {}).items()]
    tensors = [(prefix + key, value) for key, value in own if isinstance(value, Tensor)]
    for key, child in (parts.get("_modules") or {}).items():
        tensors += _module_tensors(child, f"{prefix}{key}.")
    return tensors


def _layout_of(state: State, path: str | Path) -> str:
    for other, key in _OTHERS.items():
        if key in state:
            raise ModelError(
                f"{path}: holds {other}, which is not supported; of its authors' networks GFM is. An export to ONNX "
                "can be added with a card: trimatte models add FILE --card CARD"
            )
    for layout, (key, _) in _SIGNATURES.items():
        if key in state:
            return layout
    raise ModelError(f"{path}: not a network known here; its first keys are {_some(sorted(state))}")


def _own_config(data: Mapping[str, Any], name: NetworkName, path: str | Path) -> Config:
    try:
        return cast(Config, BUILDERS[name][0](**_tuples(data["config"])))
    except (KeyError, TypeError) as error:
        raise ModelError(f"{path}: its description of the network is damaged ({error})") from error


def _tuples(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}


def _dim_config(
    state: State, layout: str, skips: bool | None, data: Any, path: str | Path, notes: list[str]
) -> DIMConfig:
    def shape(key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        tensor = state.get(_public(layout, key))
        return tuple(tensor.shape) if tensor is not None and tensor.ndim == len(default) else default

    widths = tuple(
        shape(f"conv{level}_1.weight", (width, 0, 3, 3))[0] for level, width in enumerate((64, 128, 256, 512, 512), 1)
    )
    bottleneck, _, _, side = shape("conv6_1.weight", (4096, 0, 7, 7) if layout == "indexnet" else (512, 0, 1, 1))
    refine_width = shape("refine_conv1.weight", (64, 4, 3, 3))[0]
    if side not in (1, 3, 7):
        raise ModelError(f"{path}: its conv6 is {side}x{side}; known are 1x1, 3x3 and 7x7")
    return DIMConfig(
        widths=cast("tuple[int, int, int, int, int]", widths),
        conv6=cast(Literal[1, 3, 7], side),
        bottleneck=bottleneck,
        skips=_decide_skips(layout, side, skips, data, path, notes),
        norm=layout == "indexnet",
        segnet=layout == "foamliu",
        output="clip" if layout == "indexnet" else "sigmoid",
        refine="logit" if _public(layout, "refine_conv1.weight") in state else None,
        refine_width=refine_width,
    )


def _decide_skips(layout: str, side: int, skips: bool | None, data: Any, path: str | Path, notes: list[str]) -> bool:
    """Skips came a year after conv6 had become 3x3, in huochaitiantang's files only."""
    if layout != "huochaitiantang" or side == 1:
        if skips:
            raise ArgumentError(f"skips: {path} is of a form that never had skips, got True")
        return False
    if skips is not None:
        return skips
    score = data.get("best_sad") if isinstance(data, Mapping) else None
    if isinstance(score, int | float):
        for value, (low, high) in ((False, _SAD_WITHOUT_SKIPS), (True, _SAD_WITH_SKIPS)):
            if low <= score <= high:
                notes.append(f"{'with' if value else 'without'} skips, as its best_sad {score:.0f} tells")
                return value
    raise ArgumentError(
        f"skips: {path} fits the network with skips and the one without, which give different results; "
        "say skips=True (as for stage1_skip_sad_52.9.pth) or skips=False (as for stage1_sad_54.4.pth)"
    )


def _modnet_config(state: State) -> MODNetConfig:
    def width(key: str, default: int) -> int:
        tensor = state.get(key)
        return default if tensor is None else tensor.shape[0]

    features = "backbone.model.features"
    published = MODNetConfig()
    stages, index = [], 1
    for stage, repeats in enumerate(REPEATS):
        project = 3 if stage == 0 else 6
        stages.append(width(f"{features}.{index}.conv.{project}.weight", published.stages[stage]))
        index += repeats
    return MODNetConfig(
        stem=width(f"{features}.0.0.weight", published.stem),
        stages=cast("tuple[int, int, int, int, int, int, int]", tuple(stages)),
        last=width(f"{features}.{index}.0.weight", published.last),
        branch=width("hr_branch.tohr_enc2x.layers.0.weight", published.branch),
    )


def _gfm_config(state: State, scheme: Scheme | None, path: str | Path) -> GFMConfig:
    if "rim.0.weight" in state:
        raise ModelError(f"{path}: joins three GFM networks (RIM), which is not supported; TT, FT and BT are")
    backbone: BackboneName = "r34"
    if "densenet.features.conv0.weight" in state:
        backbone = "d121"
    elif "encoder6.1.conv1.weight" in state:
        backbone = "r34_2b"
    elif "resnet.layer1.0.conv3.weight" in state:
        backbone = "r101"
    width = next((state[key].shape[0] for key in ("encoder0.0.weight",) if key in state), 64)
    return GFMConfig(
        backbone, _decide_scheme(state, backbone, scheme, path), width, _gfm_blocks(state, backbone == "d121")
    )


def _decide_scheme(state: State, backbone: BackboneName, scheme: Scheme | None, path: str | Path) -> Scheme:
    head = state.get("decoder0_g.0.weight" if backbone == "r34_2b" else "decoder0_g.6.weight")
    classes = 3 if head is None else head.shape[0]
    if scheme is not None and (scheme == "TT") != (classes == 3):
        raise ArgumentError(f"scheme: {path} tells {classes} classes apart, got {scheme!r}; TT has 3, FT and BT have 2")
    if classes == 3:
        return "TT"
    if scheme is None:
        raise ArgumentError(
            f'scheme: {path} fits FT and BT, which join the decoders differently; say scheme="FT" or scheme="BT"'
        )
    return scheme


def _gfm_blocks(state: State, dense: bool) -> tuple[int, int, int, int] | None:
    """Blocks of each stage, by the highest number among the keys; None for the published ones."""
    pattern = r"densenet\.features\.denseblock(\d)\.denselayer(\d+)\." if dense else r"resnet\.layer(\d)\.(\d+)\."
    counts = [0, 0, 0, 0]
    for key in state:
        match = re.match(pattern, key)
        if match and 1 <= int(match[1]) <= 4:
            stage, number = int(match[1]) - 1, int(match[2]) + (0 if dense else 1)
            counts[stage] = max(counts[stage], number)
    published = ((6, 12, 24, 16),) if dense else ((3, 4, 6, 3), (3, 4, 23, 3))
    return None if tuple(counts) in published or 0 in counts else (counts[0], counts[1], counts[2], counts[3])


def _build_with(state: State, name: NetworkName, config: Config, layout: str, path: str | Path) -> nn.Module:
    """The network with the file's tensors in place, or `ModelError` with every key that does not fit."""
    with torch.device("meta"):
        network = BUILDERS[name][1](config)
    wanted = network.state_dict()
    names = {key: _public(layout, key) for key in wanted}
    counter = "num_batches_tracked"
    missing = [public for public in names.values() if public not in state and not public.endswith(counter)]
    known = set(names.values())
    surplus = [key for key in state if key not in known and not key.endswith(counter)]
    shapes = [
        f"{public} {tuple(state[public].shape)} instead of {tuple(wanted[key].shape)}"
        for key, public in names.items()
        if public in state and state[public].shape != wanted[key].shape
    ]
    problems = [
        f"{len(keys)} {what}: {_some(keys)}"
        for what, keys in (("keys missing", missing), ("keys surplus", surplus), ("of another shape", shapes))
        if keys
    ]
    if problems:
        raise ModelError(f"{path}: does not fit {name} in the layout of {layout}. " + "; ".join(problems))
    own = {key: _plain(state.get(public), wanted[key]) for key, public in names.items()}
    network.load_state_dict(own, assign=True)
    _check_twice_held(network, own, path)
    return network


def _plain(tensor: Tensor | None, like: Tensor) -> Tensor:
    """Contiguous, of the network's number type; counters that old files lack start at zero."""
    if tensor is None:
        return torch.zeros(like.shape, dtype=like.dtype)
    return tensor.to(like.dtype).contiguous()


def _check_twice_held(network: nn.Module, state: State, path: str | Path) -> None:
    """Layers that files hold under two names must be the same under both."""
    for key, value in network.state_dict().items():
        if value is not state[key] and not torch.equal(value, state[key]):
            raise ModelError(f"{path}: {key} differs from the same layer's other copy in the file")


def _some(keys: list[str], limit: int = 8) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(keys[:limit]) + more


def _public(layout: str, key: str) -> str:
    """The name that `key` of our network has in files of `layout`."""
    layer, _, kind = key.rpartition(".")
    if layout == "mmagic":
        return f"{_mmagic(layer)}.{kind}"
    if layout == "indexnet":
        return f"{_indexnet(layer)}.{kind}"
    if layout == "foamliu":
        return f"{_foamliu(layer)}.{kind}"
    return key


def _mmagic(layer: str) -> str:
    if match := re.fullmatch(r"conv(\d)_(\d)", layer):
        level, i = int(match[1]), int(match[2])
        return (
            "backbone.encoder.conv6" if level > len(CONVS_PER_LEVEL) else f"backbone.encoder.layer{level}.{2 * i - 2}"
        )
    return f"refiner.{layer}" if layer.startswith("refine") else f"backbone.decoder.{layer}"


def _indexnet(layer: str) -> str:
    if layer == "deconv1":
        return "alpha_pred"
    if match := re.fullmatch(r"deconv(\d)_1", layer):
        return f"dconv{match[1]}"
    return "conv6" if layer == "conv6_1" else layer.replace("_", "")


def _foamliu(layer: str) -> str:
    if match := re.fullmatch(r"(conv|bn)(\d)_(\d)", layer):
        return f"down{match[2]}.conv{match[3]}.cbr_unit.{int(match[1] == 'bn')}"
    if match := re.fullmatch(r"(bn_)?deconv(\d)(_1)?", layer):
        return f"up{match[2]}.conv.cbr_unit.{int(match[1] is not None)}"
    return layer
