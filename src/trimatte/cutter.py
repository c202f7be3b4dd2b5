"""Photo after photo in one process: what is costly to start is started once."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, Literal

import numpy as np

from trimatte._threads import available_threads
from trimatte.alpha import TRIMAP_FREE, method_function
from trimatte.cutout import Cutout, check_names, cutout
from trimatte.errors import ArgumentError, TrimatteError
from trimatte.images import load_picture
from trimatte.segmentation import segment

Result = Cutout | TrimatteError


class Cutter:
    """Cuts out one photo after the other; may be shared between threads.

    The networks are loaded and the kernels compiled when it is made, not at the first photo.

    Parameters
    ----------
    sequence : the photos given to `map` are frames of one scene: the search for each alpha starts from the one before,
        if the frames are of one size. The result is that of `trimatte.cutout` to the solver's tolerance.
    options : of `trimatte.cutout`, for every photo.

    Raises
    ------
    ArgumentError
        For a name that there is not, or a method that cannot start from another alpha with `sequence`.
    """

    def __init__(self, *, sequence: bool = False, **options: Any) -> None:
        named = inspect.signature(cutout).parameters
        stages = ("segmenter", "method", "foreground", "refine")
        check_names(**{stage: options.get(stage, named[stage].default) for stage in stages})
        self._method = method = options.get("method", named["method"].default)
        if sequence and "guess" not in inspect.signature(method_function(method)).parameters:
            raise ArgumentError(f"sequence: method {method!r} cannot start from the alpha of another frame")
        self.sequence, self.options = sequence, options
        self._turn: AbstractContextManager[Any] = nullcontext()
        self._warm_up()

    def __call__(self, photo: Any) -> Cutout:
        """Cut out one photo, whatever `trimatte.cutout` takes."""
        return self._cut(photo)

    def map(
        self, photos: Iterable[Any], *, workers: int | None = None, errors: Literal["raise", "return"] = "raise"
    ) -> Iterator[Result]:
        """Cut out photos, and give the results in their order as they are taken.

        Photos are read on only as results are taken: no more than `workers` are in work or done and waiting.

        Parameters
        ----------
        photos : paths, or whatever `trimatte.cutout` takes; a generator is read as it is needed.
        workers : photos in work at the same time, in threads that share the processors; by default one for each. The
            frames of a sequence are done one by one.
        errors : "raise" the `TrimatteError` of a photo that cannot be done, which ends the iteration, or "return" it in
            the place of the result.

        Yields
        ------
        Cutout
            Or, with `errors="return"`, TrimatteError.
        """
        if errors not in ("raise", "return"):
            raise ArgumentError(f"errors: got {errors!r}, wanted 'raise' or 'return'")
        if workers is not None and workers < 1:
            raise ArgumentError(f"workers: got {workers}, wanted at least 1")
        results = self._frames(photos) if self.sequence else self._in_threads(photos, workers or available_threads())
        return _raising(results) if errors == "raise" else results

    def _cut(self, photo: Any, **more: Any) -> Cutout:
        with self._turn:
            return cutout(photo, **{**self.options, **more})

    def _frames(self, photos: Iterable[Any]) -> Iterator[Result]:
        before: np.ndarray | None = None
        for photo in photos:
            result = _tried(self._next_frame, photo, before)
            before = result.alpha if isinstance(result, Cutout) else before
            yield result

    def _next_frame(self, photo: Any, before: np.ndarray | None) -> Cutout:
        limit = {"max_pixels": self.options["max_pixels"]} if "max_pixels" in self.options else {}
        frame = load_picture(photo, **limit)
        same = before is not None and before.shape == frame.image.shape[:2]
        return self._cut(frame, guess=before if same else None)

    def _in_threads(self, photos: Iterable[Any], workers: int) -> Iterator[Result]:
        share = max(1, available_threads() // workers)
        waiting: deque[Future[Result]] = deque()
        source = iter(photos)
        pool = ThreadPoolExecutor(workers, "cutter", initializer=_use_threads, initargs=(share,))
        try:
            for photo in islice(source, workers):
                waiting.append(pool.submit(_tried, self._cut, photo))
            while waiting:
                result = waiting.popleft().result()
                for photo in islice(source, 1):
                    waiting.append(pool.submit(_tried, self._cut, photo))
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _warm_up(self) -> None:
        """Cut out a small scene, so that all that is needed is loaded and compiled."""
        y, x = np.mgrid[:96, :128]
        disc = np.hypot(y - 48, x - 64) < 30
        scene = np.where(disc[..., None], np.uint8(230), np.uint8(30)).repeat(3, axis=2)
        near = np.abs(np.hypot(y - 48, x - 64) - 30) < 6
        trimap = np.where(near, np.uint8(128), np.where(disc, np.uint8(255), np.uint8(0)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cutout(scene, **{**self.options, "trimap": trimap, "strict": False, "max_pixels": scene.size})
            if "trimap" not in self.options and self._method not in TRIMAP_FREE:
                segment(scene, **{key: self.options[key] for key in ("segmenter",) if key in self.options})
        if _takes_turns():
            self._turn = threading.Lock()


def _tried(cut: Callable[..., Cutout], *arguments: Any) -> Result:
    try:
        return cut(*arguments)
    except TrimatteError as error:
        return error


def _raising(results: Iterator[Result]) -> Iterator[Cutout]:
    for result in results:
        if isinstance(result, TrimatteError):
            raise result
        yield result


def _use_threads(count: int) -> None:
    """Let the kernels that this thread calls use so many threads."""
    from numba import get_num_threads, set_num_threads

    set_num_threads(min(count, get_num_threads()))


def _takes_turns() -> bool:
    """Whether numba's threads serve one caller at a time: its own pool ends the process if two call at once."""
    from numba.np.ufunc.parallel import threading_layer

    try:
        return bool(threading_layer() == "workqueue")  # type: ignore[no-untyped-call]
    except ValueError:  # no parallel kernel has run
        return False
