"""Cutting out before a plain backdrop: studio grey, a green screen, paper. Its colours are known, so alpha is exact.

The backdrop's colour field is fitted from the picture's border on (`field`); what is surely backdrop and surely subject
is found (`known`), shadows too (`shadow`); alpha is solved for in between (`keying`), and the subject's colours are
freed of the backdrop (`colours`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trimatte.errors import ArgumentError
from trimatte.images.arrays import BACKGROUND
from trimatte.images.background import as_colour
from trimatte.linalg.report import SolveReport
from trimatte.planes.resize import resized

if TYPE_CHECKING:
    from trimatte.backdrop.field import Field

WORDS = ("off", "auto")
SHADOWS = ("drop", "keep")
PLAIN = 0.5
"""A backdrop takes at least this part of the border for "auto"."""
STRANGE = 0.1
"""And no more than this part of it is neither backdrop nor, for the segmenter, the subject."""
SMOOTH = 0.025
"""A plain backdrop's noise is no more than this."""
PRESENT = 0.05
"""A colour that is given takes at least this part of the border."""


@dataclass(frozen=True)
class BackdropMatte:
    """What stands before a plain backdrop.

    Attributes
    ----------
    trimap : (H, W) uint8 array
        What was known, and what was solved for.
    alpha : (H, W) float32 array in [0, 1]
    foreground : (H, W, 3) float32 array in [0, 1]
        Straight colours.
    """

    trimap: np.ndarray
    alpha: np.ndarray
    foreground: np.ndarray


def check_backdrop(backdrop: Any, shadow: Any) -> None:
    """Raise `ArgumentError` for what is neither "off", "auto" nor a colour, and for no way to treat shadows."""
    if not (isinstance(backdrop, str) and backdrop in WORDS):
        as_colour(backdrop, "backdrop", f", or {' or '.join(WORDS)}")
    if shadow not in SHADOWS:
        raise ArgumentError(f"shadow: got {shadow!r}, wanted {' or '.join(SHADOWS)}")


def find_backdrop(
    image: np.ndarray, backdrop: Any = "auto", *, probability: np.ndarray | None = None
) -> tuple[Field | None, str]:
    """The colour field of a picture's backdrop.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        The photo, sRGB.
    backdrop : str or three numbers, default "auto"
        A colour as `trimatte.composite` takes it, or "auto": none unless the border says that there is one.
    probability : (H, W) float32 array in [0, 1], optional
        Of foreground. For "auto", what of the border is no backdrop has to be the subject's.

    Returns
    -------
    field : Field or None
    how : str
        What was found, in words.

    Raises
    ------
    ArgumentError
        For a colour that the border has not.
    """
    from trimatte.backdrop.field import fit_field

    if isinstance(backdrop, str) and backdrop == "auto":
        field = fit_field(image)
        fault = _not_plain(field, probability)
        return (None, fault) if fault else (field, f"{field.share:.0%} of the border is of one colour")
    colour = as_colour(backdrop, "backdrop")
    field = fit_field(image, colour)
    if field.share < PRESENT:
        raise ArgumentError(
            f"backdrop: got {hexadecimal(colour)}, which {field.share:.0%} of the picture's border has; "
            f"wanted a colour of at least {PRESENT:.0%} of it"
        )
    return field, f"{field.share:.0%} of the border is of the colour given"


def hexadecimal(colour: np.ndarray) -> str:
    """A colour (3,) in [0, 1] as #rrggbb."""
    return "#" + "".join(f"{round(255 * float(value)):02x}" for value in colour)


def key(
    image: np.ndarray,
    field: Field,
    *,
    probability: np.ndarray | None = None,
    shadow: str = "drop",
    only: bool = False,
    marks: np.ndarray | None = None,
    report: SolveReport | None = None,
) -> BackdropMatte:
    """Alpha and foreground colours before a known backdrop.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        The photo, sRGB.
    field : Field
        Of `find_backdrop`.
    probability : (H, W) float32 array in [0, 1], optional
        Of foreground; without it, all that is of the backdrop's colour is backdrop, and there are no shadows.
    shadow : {'drop', 'keep'}, default "drop"
        Whether shadows that the subject throws on the backdrop go, or stay as black with an alpha of their own.
    only : bool, default False
        Somebody has pointed at the subject: all that the probability knows nothing of goes.
    marks : (H, W) uint8 array, optional
        What a person has marked: 255 is the subject's, 0 is not, nor is a shadow there, 128 is to be solved for; other
        values mark nothing.
    report : SolveReport, optional
        Filled in.
    """
    from trimatte.backdrop.colours import known_colours
    from trimatte.backdrop.keying import solve_alpha
    from trimatte.backdrop.known import find_sides
    from trimatte.backdrop.shadow import find_shade

    report = SolveReport() if report is None else report
    report.method = "backdrop"
    behind = field.at(image.shape[:2])
    sides = find_sides(image, behind, field.noise, probability, only=only)
    shade = np.ones(image.shape[:2], np.float32)
    if probability is not None and sides.trusted:
        shade = find_shade(image, behind, field.noise, probability)
        if (shade < 1).any():
            behind = behind * shade[..., None]
            sides = find_sides(image, behind, field.noise, probability, only=only)
    trimap, alpha = solve_alpha(image, behind, sides, probability, report, marks=marks)
    foreground = known_colours(image, behind, alpha)
    if shadow == "keep":
        shade = shade if marks is None else np.where(marks == BACKGROUND, np.float32(1), shade)
        alpha, foreground = _over_black(alpha, foreground, 1 - shade)
    return BackdropMatte(trimap, alpha, foreground)


def _over_black(alpha: np.ndarray, foreground: np.ndarray, shadow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The subject laid over black that has the shadow's alpha."""
    merged = alpha + (1 - alpha) * shadow
    part = np.divide(alpha, merged, out=np.zeros_like(alpha), where=merged > 0)
    return merged, foreground * part[..., None]


def _not_plain(field: Field, probability: np.ndarray | None) -> str:
    """Why a backdrop is not taken for plain, or nothing."""
    from trimatte.backdrop.field import border_of

    if field.share < PLAIN:
        return f"{field.share:.0%} of the border is of one colour, wanted {PLAIN:.0%}"
    if field.noise.max() > SMOOTH:
        return f"the border's colours vary by {field.noise.max():.1%}, wanted {SMOOTH:.1%}"
    other = border_of(*field.fits.shape) & ~field.fits
    if probability is not None:
        other &= resized(np.ascontiguousarray(probability, np.float32), field.fits.shape) < 0.5
    strange = np.count_nonzero(other) / np.count_nonzero(border_of(*field.fits.shape))
    if strange > STRANGE:
        return f"{strange:.0%} of the border is neither of one colour nor the subject, wanted {STRANGE:.0%} at most"
    return ""
