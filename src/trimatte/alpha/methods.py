"""The table of alpha methods: one row says all that anything needs to know of one.

The command line, the service, the editor, `doctor` and the benchmarks read it. A new method is one file and one row; a
method of another package is a row, or a function, behind an entry point of the group `trimatte.alpha_methods`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from trimatte.errors import ArgumentError, ModelError
from trimatte.runtime.plugins import check_name, known, load, resolve, unknown

ENTRY_POINTS = "trimatte.alpha_methods"
SEEN_SMALLER = 1_000_000
"""More unknown pixels take `light`, `light-closed-form` and `hybrid` hardly longer: they see a smaller picture first.
See `trimatte.alpha.coarse_to_fine`, whose two passes together see fewer than these."""


@dataclass(frozen=True, kw_only=True)
class AlphaMethod:
    """An alpha method: its function, and what it needs.

    Attributes
    ----------
    function : str or callable
        Where the function is, "module:name", or the function itself: `function(image, trimap, report, **options)`, as
        `trimatte.alpha` describes it.
    label : str
        What people call it.
    needs_trimap : bool
        Whether it cannot do without a trimap.
    needs_weights : bool
        Whether the user has to give a file of weights, which is not shipped.
    needs_samples : bool
        Whether the trimap must hold known foreground and known background: the method spreads what is known of both.
    local : bool
        Whether it can solve for a part of the picture, or go on from another alpha: it takes the options `known` and
        `guess`.
    sees_map : bool
        Whether it takes the map of foreground that a trimap was derived from, as the option `probability`.
    refines : bool
        Whether it may redo another method's alpha where that is unsure, as networks can that take a trimap.
    kernels : tuple of str
        The methods whose compiled kernels it runs.
    cost : float
        Microseconds of one processor that an unknown pixel takes, about, in a photo of two megapixels; 0 if not known.
    bounded : int
        More unknown pixels than these take hardly longer, since it sees a smaller picture first; 0 if it never does.
    """

    function: str | Callable[..., np.ndarray]
    label: str = ""
    needs_trimap: bool = True
    needs_weights: bool = False
    needs_samples: bool = True
    local: bool = False
    sees_map: bool = False
    refines: bool = False
    kernels: tuple[str, ...] = ()
    cost: float = 0.0
    bounded: int = 0

    def load(self) -> Callable[..., np.ndarray]:
        """The function itself; its module is imported."""
        if not isinstance(self.function, str):
            return self.function
        function: Callable[..., np.ndarray] = load(self.function)
        return function

    @property
    def ready(self) -> bool:
        """Whether a trimap is all that it needs and takes: it can be offered without asking for more."""
        return self.needs_trimap and not self.needs_weights


METHODS: dict[str, AlphaMethod] = {
    "closed-form": AlphaMethod(
        function="trimatte.alpha.closed_form:closed_form",
        label="Closed-form",
        local=True,
        kernels=("closed-form",),
        cost=4,
    ),
    "knn": AlphaMethod(function="trimatte.alpha.knn:knn", label="KNN", kernels=("knn",), cost=15),
    "learning-based": AlphaMethod(
        function="trimatte.alpha.learning_based:learning_based",
        label="Learning-based",
        local=True,
        kernels=("learning-based",),
        cost=4.5,
    ),
    "large-kernel": AlphaMethod(
        function="trimatte.alpha.large_kernel:large_kernel", label="Large kernel", kernels=("large-kernel",), cost=23
    ),
    "random-walk": AlphaMethod(
        function="trimatte.alpha.random_walk:random_walk",
        label="Random walk",
        local=True,
        kernels=("random-walk",),
        cost=8,
    ),
    "shared": AlphaMethod(
        function="trimatte.alpha.shared:shared", label="Shared sampling", kernels=("shared",), cost=3.5
    ),
    "light": AlphaMethod(
        function="trimatte.alpha.light:light",
        label="Light network",
        sees_map=True,
        refines=True,
        kernels=("shared", "light"),
        cost=9.5,
        bounded=SEEN_SMALLER,
    ),
    "light-closed-form": AlphaMethod(
        function="trimatte.alpha.light:light_closed_form",
        label="Light network, solved",
        sees_map=True,
        refines=True,
        kernels=("shared", "light", "closed-form"),
        cost=13,
        bounded=SEEN_SMALLER,
    ),
    "hybrid": AlphaMethod(
        function="trimatte.alpha.hybrid:hybrid",
        label="Hybrid",
        refines=True,
        kernels=("closed-form", "knn", "shared", "light"),
        cost=23,
        bounded=SEEN_SMALLER,
    ),
    "deep-image-matting": AlphaMethod(
        function="trimatte.alpha.deep:deep_image_matting",
        label="Deep Image Matting",
        needs_weights=True,
        needs_samples=False,
        refines=True,
    ),
    "glance": AlphaMethod(
        function="trimatte.alpha.glance:glance", label="Glance", needs_trimap=False, needs_samples=False
    ),
    "modnet": AlphaMethod(
        function="trimatte.alpha.deep:modnet",
        label="MODNet",
        needs_trimap=False,
        needs_weights=True,
        needs_samples=False,
    ),
    "gfm": AlphaMethod(
        function="trimatte.alpha.deep:gfm", label="GFM", needs_trimap=False, needs_weights=True, needs_samples=False
    ),
}


def alpha_methods() -> list[str]:
    """Names of all alpha methods but the `pymatting:` ones: ours, other packages', matting networks that were added."""
    from trimatte.segmentation import registry

    names = known(METHODS, ENTRY_POINTS)
    return [*names, *(name for name in registry.added_for("matting") if name not in names)]


def find_method(name: str) -> AlphaMethod:
    """The row of an alpha method.

    Parameters
    ----------
    name : str
        One of `alpha_methods()`, or "pymatting:M" for method M of that package.

    Returns
    -------
    row : AlphaMethod
        Where its function is, and what it needs.

    Raises
    ------
    ArgumentError
        For a name that there is not, or a plug-in that cannot be used.
    ModelError
        For a network that is not added yet, or is a segmenter; the message says what to do.
    """
    check_name("method", name)
    if name.startswith("pymatting:"):
        from trimatte.alpha.peer import pymatting_method

        peer = name.removeprefix("pymatting:")
        return AlphaMethod(function=pymatting_method(peer), label=f"pymatting {peer}")
    if name not in METHODS and name not in known(METHODS, ENTRY_POINTS):
        from trimatte.segmentation import registry

        if registry.knows(name):
            return _added(name)
        raise unknown("method", name, alpha_methods(), registry.named_for("matting"))
    found = resolve("method", name, METHODS, ENTRY_POINTS)
    if isinstance(found, AlphaMethod):
        return found
    if callable(found):
        local = {"known", "guess"} <= set(inspect.signature(found).parameters)
        return AlphaMethod(function=found, label=name, local=local)
    raise ArgumentError(f"method: the plug-in {name!r} is {found!r}; wanted a function or an AlphaMethod")


def _added(name: str) -> AlphaMethod:
    """The row of a network of the registry. Raises `ModelError` if it is not added yet, or is a segmenter."""
    from trimatte.alpha.added import with_trimap, without_trimap
    from trimatte.segmentation import registry

    if registry.card(name).task != "matting":
        raise ModelError(f"{name!r} finds the subject and gives no alpha matte: give it as segmenter")
    needs = registry.ready_card(name).contract.needs_trimap
    function = partial(with_trimap if needs else without_trimap, name)
    return AlphaMethod(function=function, label=name, needs_trimap=needs, needs_samples=False, refines=needs)


def ready_methods(*, trimap: bool = True) -> dict[str, AlphaMethod]:
    """The methods that need a trimap and nothing else; a plug-in that cannot be used is left out.

    With `trimap=False` there are also those that do without one.
    """
    rows = {}
    for name in alpha_methods():
        try:
            rows[name] = find_method(name)
        except (ArgumentError, ModelError):
            continue
    return {name: row for name, row in rows.items() if row.ready or not (trimap or row.needs_weights)}
