"""Photo after photo in one process: what is costly to start is started once."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from itertools import islice
from typing import Any, Literal

import numpy as np

from trimatte.alpha import find_method
from trimatte.alpha.sequence import SequenceAlpha
from trimatte.cutout import Cutout, cutout, cutout_by
from trimatte.errors import ArgumentError, TrimatteError, failure
from trimatte.images import as_image
from trimatte.images.arrays import UNKNOWN
from trimatte.runtime.options import check_flag, check_number
from trimatte.runtime.threads import available_threads
from trimatte.segmentation import segment
from trimatte.segmentation.decide import decided
from trimatte.stages import Stages

Result = Cutout | TrimatteError


class Cutter:
    """Cuts out one photo after the other; may be shared between threads.

    The networks are loaded and the kernels compiled when it is made, not at the first photo.

    Parameters
    ----------
    sequence : bool, default False
        The photos given to `map` are frames of one scene: alpha is kept where nothing has changed, and the rest is
        solved for from there (see `trimatte.alpha.sequence`), by "closed-form" unless there is a `method`. Takes less
        time where the camera stands still.
    **options : Any
        Of `trimatte.cutout`, for every photo; `points`, `not_points` and `box` can also be given with each.

    Raises
    ------
    ArgumentError
        For a name that there is not, or a method that cannot start from another alpha with `sequence`.
    """

    def __init__(self, *, sequence: bool = False, **options: Any) -> None:
        check_flag("sequence", sequence)
        if sequence and options.get("method") is None:
            options["method"] = "closed-form"  # which can go on from the frame before
        self.sequence, self.options = sequence, options
        names = {field.name for field in fields(Stages)}
        self._stages = Stages(**{name: value for name, value in options.items() if name in names})
        self._of_method = {name: value for name, value in options.items() if name not in names}
        self._stages.check(**self._of_method)
        self._turn: AbstractContextManager[Any] = nullcontext()
        if sequence:
            self._matting()
        self._warm_up()

    def __call__(self, photo: Any, *, points: Any = None, not_points: Any = None, box: Any = None) -> Cutout:
        """Cut out one photo, whatever `trimatte.cutout` takes, or what is pointed at in it."""
        given = {"points": points, "not_points": not_points, "box": box}
        return self._cut(photo, **{name: value for name, value in given.items() if value is not None})

    def map(
        self, photos: Iterable[Any], *, workers: int | None = None, errors: Literal["raise", "return"] = "raise"
    ) -> Iterator[Result]:
        """Cut out photos, and give the results in their order as they are taken.

        Photos are read on only as results are taken: no more than `workers` are in work or done and waiting.

        Parameters
        ----------
        photos : iterable
            Paths, or whatever `trimatte.cutout` takes; a generator is read as it is needed.
        workers : int, optional
            Photos in work at the same time, in threads that share the processors; by default one for each. The frames
            of a sequence are done one by one.
        errors : {'raise', 'return'}, default "raise"
            "raise" the `TrimatteError` of a photo that cannot be done, which ends the iteration, or "return" it in the
            place of the result. Unforeseen errors are raised unchanged, or returned as the cause of a `TrimatteError`.

        Yields
        ------
        Cutout
            Or, with `errors="return"`, TrimatteError.
        """
        if workers is not None:
            check_number("workers", workers, least=1, whole=True)
        if errors not in ("raise", "return"):
            raise ArgumentError(f"errors: got {errors!r}, wanted 'raise' or 'return'")
        results = self._frames(photos) if self.sequence else self._in_threads(photos, workers or available_threads())
        return _raising(results) if errors == "raise" else results

    def _cut(self, photo: Any, **prompts: Any) -> Cutout:
        with self._turn:
            return cutout(photo, **self.options | prompts)

    def _matting(self) -> SequenceAlpha:
        """Alpha of the frames of a new sequence."""
        return SequenceAlpha(self._stages.way.method, strict=self._stages.strict, **self._of_method)

    def _frames(self, photos: Iterable[Any]) -> Iterator[Result]:
        matting = self._matting()

        def cut(photo: Any) -> Cutout:
            with self._turn:
                return cutout_by(lambda image, trimap, _: matting(image, trimap), photo, self._stages)

        for photo in photos:
            yield _tried(cut, photo)

    def _in_threads(self, photos: Iterable[Any], workers: int) -> Iterator[Result]:
        share = max(1, available_threads() // workers)
        waiting: deque[Future[Result]] = deque()
        source = iter(photos)
        own: set[int] = set()
        pool = ThreadPoolExecutor(workers, "cutter", initializer=_begin, initargs=(own, share))
        try:
            for photo in islice(source, workers):
                waiting.append(pool.submit(_tried, self._cut, photo))
            while waiting:
                result = waiting.popleft().result()
                for photo in islice(source, 1):
                    waiting.append(pool.submit(_tried, self._cut, photo))
                yield result
        finally:
            # Results that nobody takes any more may be collected by any thread, these among them.
            pool.shutdown(wait=threading.get_ident() not in own, cancel_futures=True)

    def _warm_up(self) -> None:
        """Cut out a small scene, so that all that is needed is loaded and compiled."""
        y, x = np.mgrid[:96, :128]
        disc = np.hypot(y - 48, x - 64) < 30
        scene = np.where(disc[..., None], np.uint8(230), np.uint8(30)).repeat(3, axis=2)
        near = np.abs(np.hypot(y - 48, x - 64) - 30) < 6
        trimap = np.where(near, np.uint8(UNKNOWN), np.where(disc, np.uint8(255), np.uint8(0)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            of_subject = dict.fromkeys(("band", "band_pixels", "speck", "points", "not_points", "box"))
            of_trimap = of_subject | {"adaptive_band": False, "strict": False, "backdrop": "off", "shadow": "drop"}
            cutout(scene, **{**self.options, **of_trimap, "trimap": trimap, "max_pixels": scene.size})
            way = self._stages.way
            if self._stages.trimap is None and find_method(way.method).needs_trimap:
                decided(as_image(scene), segment(scene, segmenter=way.segmenter))
        from trimatte.runtime.jit import takes_turns

        if takes_turns():
            self._turn = threading.Lock()


def _tried(cut: Callable[..., Cutout], *arguments: Any) -> Result:
    try:
        return cut(*arguments)
    except TrimatteError as error:
        return error
    except Exception as error:  # one photo must not lose the others
        unforeseen = TrimatteError(failure(error))
        unforeseen.__cause__ = error
        return unforeseen


def _raising(results: Iterator[Result]) -> Iterator[Cutout]:
    for result in results:
        if isinstance(result, TrimatteError):
            raise result.__cause__ if type(result) is TrimatteError and result.__cause__ else result
        yield result


def _begin(own: set[int], count: int) -> None:
    """Add this thread to the pool, and let its kernels use this many threads."""
    from numba import get_num_threads, set_num_threads

    own.add(threading.get_ident())
    set_num_threads(min(count, get_num_threads()))
