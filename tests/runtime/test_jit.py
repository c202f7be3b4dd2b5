"""Kernels on several threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimatte.runtime.jit import PIECES, njit, side_by_side


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    import numba

    if numba.config.NUMBA_NUM_THREADS < 2:  # type: ignore[attr-defined]
        pytest.skip("one thread only")
    before = numba.get_num_threads()
    numba.set_num_threads(2)
    yield
    numba.set_num_threads(before)


@njit()
def count(first: int, last: int, seen: np.ndarray) -> None:
    for i in range(first, last):
        seen[i] += 1


@settings(max_examples=50)
@given(start=st.integers(0, 5), length=st.integers(0, 200), least=st.integers(1, 50))
def test_each_number_of_a_range_is_done_once(start: int, length: int, least: int) -> None:
    seen = np.zeros(start + length + 3, np.int64)
    side_by_side(count, range(start, start + length), seen, least=least)
    np.testing.assert_array_equal(np.flatnonzero(seen == 1), np.arange(start, start + length))
    assert seen.sum() == length


def test_a_number_stands_for_the_range_up_to_it() -> None:
    seen = np.zeros(100, np.int64)
    side_by_side(count, 100, seen)
    assert (seen == 1).all()


def record(pieces: list[tuple[int, int, int]]) -> Callable[[int, int], None]:
    return lambda first, last: pieces.append((threading.get_ident(), first, last))


def test_pieces_are_as_many_as_asked_and_no_smaller() -> None:
    pieces: list[tuple[int, int, int]] = []
    side_by_side(record(pieces), 1000)
    assert len(pieces) == 2 * PIECES
    pieces.clear()
    side_by_side(record(pieces), 1000, least=300)
    assert sorted((first, last) for _, first, last in pieces) == [(0, 333), (333, 666), (666, 1000)]
    pieces.clear()
    side_by_side(record(pieces), 99, least=50)
    assert pieces == [(threading.get_ident(), 0, 99)]


def test_two_threads_work_and_each_has_its_own_half() -> None:
    both = threading.Barrier(2)
    pieces: list[tuple[int, int, int]] = []

    def kernel(first: int, last: int) -> None:
        if first in (0, PIECES):  # the first piece of either half: none ends before both have begun
            both.wait(20)
        pieces.append((threading.get_ident(), first, last))

    side_by_side(kernel, 2 * PIECES)
    owner = {first: thread for thread, first, _ in pieces}
    assert owner[0] == threading.get_ident()
    assert owner[PIECES] != owner[0]


def test_a_thread_takes_over_what_another_does_not_come_to() -> None:
    rest = threading.Event()
    pieces: list[int] = []

    def kernel(first: int, last: int) -> None:
        if threading.get_ident() != caller:
            assert rest.wait(20)  # held up until the caller has done all else
        pieces.append(first)
        if len(pieces) >= 2 * PIECES - 1:
            rest.set()

    caller = threading.get_ident()
    side_by_side(kernel, 2 * PIECES)
    assert sorted(pieces) == list(range(2 * PIECES))


def test_an_exception_is_raised_when_all_pieces_are_done() -> None:
    done: list[int] = []

    def kernel(first: int, last: int) -> None:
        done.append(first)
        if first in (0, PIECES):
            raise ArithmeticError(f"piece {first}")

    with pytest.raises(ArithmeticError, match="piece"):
        side_by_side(kernel, 2 * PIECES)
    assert len(done) == 2 * PIECES
    seen = np.zeros(100, np.int64)
    side_by_side(count, 100, seen)
    assert (seen == 1).all()


def test_several_callers_at_once() -> None:
    seen = np.zeros((6, 5000), np.int64)
    threads = [threading.Thread(target=side_by_side, args=(count, 5000, row)) for row in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (seen == 1).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_helpers_of_its_own() -> None:
    side_by_side(lambda first, last: None, 100)
    child = os.fork()
    if child == 0:
        both = threading.Barrier(2)

        def kernel(first: int, last: int) -> None:
            if first in (0, PIECES):
                both.wait(20)

        try:
            side_by_side(kernel, 2 * PIECES)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_limit_is_kept_in_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    monkeypatch.setattr("numba.get_num_threads", lambda: 4)
    monkeypatch.setattr("trimatte.runtime.jit.available_threads", lambda: 1)
    other = threading.Thread(target=side_by_side, args=(lambda first, last: seen.add(threading.get_ident()), 100))
    other.start()
    other.join()
    assert seen == {other.ident}
