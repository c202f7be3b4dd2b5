"""What can go wrong, typed: exceptions and warnings.

Every error that trimatte raises on purpose derives from `TrimatteError`, so that a caller can tell
"this picture is bad" from a defect. A wrong argument value is also a `ValueError`, an unreadable file
also an `OSError`, a missing optional dependency also an `ImportError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from warnings import WarningMessage


class TrimatteError(Exception):
    """Base of all errors that trimatte raises on purpose."""


class ArgumentError(TrimatteError, ValueError):
    """An argument has a wrong shape, type, range or name; the message names it."""


class ImageReadError(TrimatteError, OSError):
    """A file cannot be read as a picture."""


class ImageFormatError(ImageReadError):
    """A file is no picture of a format that is read."""


class ImageTooLargeError(ImageReadError):
    """A picture has more pixels than the limit allows."""


class ImageWriteError(TrimatteError, OSError):
    """A picture cannot be written."""


class MissingExtraError(TrimatteError, ImportError):
    """An optional dependency is not installed; the message says what to install."""


class ModelError(TrimatteError):
    """A model file or its card is missing, damaged or does not fit."""


class ImageWarning(UserWarning):
    """Something of a picture's file was left out, or taken on trust."""


class SolverError(TrimatteError, RuntimeError):
    """A linear system was not solved as demanded (only with `strict=True`), or its memory plan does not fit."""


class SubjectNotFoundError(TrimatteError):
    """No subject was found in the picture (only with `strict=True`)."""


class SubjectWarning(UserWarning):
    """No subject was found, or the cut-out had to depart from what was asked."""


class ConvergenceWarning(UserWarning):
    """A solver stopped before it reached the demanded residual, or left pixels that nothing known determines."""


class CacheWarning(UserWarning):
    """Compiled kernels cannot be kept on the disk, so that each process compiles them."""


class ClusterWarning(UserWarning):
    """A cluster has no workers, which are waited for."""


def for_users(caught: Iterable[WarningMessage], told: Iterable[str] = ()) -> list[str]:
    """What was told, and what recorded warnings say to users, not to programmers; each once."""
    heard = (str(warning.message) for warning in caught if issubclass(warning.category, UserWarning))
    return list(dict.fromkeys([*told, *heard]))


def failure(error: BaseException) -> str:
    """Why a picture failed, in words: what an error of ours says, or that nobody foresaw this one."""
    if isinstance(error, TrimatteError):
        return message_of(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    return f"unexpected {type(error).__name__}: {message_of(error)}"


def message_of(error: BaseException) -> str:
    """What an error says; nothing if that raises another."""
    try:
        return str(error)
    except Exception:
        return ""
