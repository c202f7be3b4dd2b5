"""Workers that are slow, large, dead or too few."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("starlette")

from trimatte.server.pool import Pool
from trimatte.server.problems import Problem
from trimatte.server.settings import Settings


@asynccontextmanager
async def running(module: str, **options: Any) -> AsyncIterator[Pool]:
    """A pool that has a worker ready."""
    pool = Pool(Settings(**{"workers": 1, **options}), module)
    await pool.start()
    try:
        await until(lambda: pool.ready == pool.settings.workers)
        yield pool
    finally:
        await asyncio.wait_for(pool.stop(), 30)


async def until(true: Callable[[], bool], seconds: float = 60) -> None:
    async def wait() -> None:
        while not true():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), seconds)


async def ask(pool: Pool, what: str) -> int:
    """Let a worker do it; its process number."""
    reply = await pool.run("cutout", {"image": what.encode()}, {})
    process: int = json.loads(reply.body)["process"]
    return process


async def fails(request: Awaitable[Any], code: str) -> Problem:
    with pytest.raises(Problem) as caught:
        await request
    assert caught.value.code == code
    return caught.value


def test_requests_go_through_the_same_process(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            assert await ask(pool, "a") == await ask(pool, "b") != os.getpid()
            assert not pool.restarts
            assert pool.busy == pool.waiting == 0

    asyncio.run(scenario())


def test_a_full_queue(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy, queue=2) as pool:
            taken = [asyncio.ensure_future(ask(pool, "sleep 0.5")) for _ in range(3)]
            await until(lambda: pool.waiting == 2)
            problem = await fails(ask(pool, "x"), "busy")
            assert 1 <= int(problem.headers["Retry-After"]) <= 60
            assert len(set(await asyncio.gather(*taken))) == 1
            assert await ask(pool, "x")

    asyncio.run(scenario())


def test_first_come_first_served(toy: str) -> None:
    async def scenario() -> None:
        order: list[int] = []

        async def numbered(pool: Pool, number: int) -> None:
            await ask(pool, "sleep 0.05")
            order.append(number)

        async with running(toy) as pool:
            await asyncio.gather(*(numbered(pool, number) for number in range(5)))
        assert order == [0, 1, 2, 3, 4]

    asyncio.run(scenario())


def test_waiting_too_long(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy, wait_seconds=0.1) as pool:
            first = asyncio.ensure_future(ask(pool, "sleep 0.6"))
            await until(lambda: pool.busy == 1)
            problem = await fails(ask(pool, "x"), "waited-too-long")
            assert int(problem.headers["Retry-After"]) >= 1
            assert await first == await ask(pool, "x")

    asyncio.run(scenario())


def test_a_worker_that_works_too_long_is_replaced(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy, work_seconds=0.3) as pool:
            process = await ask(pool, "x")
            await fails(ask(pool, "sleep 60"), "over-time")
            assert pool.restarts == {"over-time": 1}
            assert await ask(pool, "x") != process
            with pytest.raises(ProcessLookupError):
                os.kill(process, 0)

    asyncio.run(scenario())


def test_a_worker_that_dies_at_work_is_replaced(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            problem = await fails(ask(pool, "die"), "worker-lost")
            assert "Retry-After" in problem.headers
            assert await ask(pool, "x")
            assert pool.restarts == {"lost": 1}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("leave", "SystemExit"),
        ("panic", "BaseException"),
        ("report object", "TypeError"),
        ("report long", "OverflowError"),
        ("raise MemoryError", "MemoryError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_whatever_a_picture_does_is_told_and_the_worker_lives(toy: str, what: str, error: str) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            process = await ask(pool, "x")
            reply = await pool.run("cutout", {"image": what.encode()}, {})
            assert reply.error == error
            assert reply.body == b""
            assert await ask(pool, "x") == process
            assert not pool.restarts

    asyncio.run(scenario())


def test_a_report_of_numpy_numbers_arrives(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            reply = await pool.run("cutout", {"image": b"report numpy"}, {})
            assert reply.report["unknown"] == 7

    asyncio.run(scenario())


def test_only_a_killed_worker_may_have_run_out_of_memory(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            assert "memory" in (await fails(ask(pool, "kill"), "worker-lost")).detail
            assert "memory" not in (await fails(ask(pool, "die"), "worker-lost")).detail

    asyncio.run(scenario())


def test_an_answer_that_is_none_is_a_defect(toy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            process = await ask(pool, "x")
            with monkeypatch.context() as patch:
                patch.setattr("trimatte.server.worker.LONGEST_HEAD", 5)  # in this process alone
                problem = await fails(ask(pool, "x"), "defect")
            assert problem.headers == {}
            assert pool.restarts == {"defect": 1}
            assert await ask(pool, "x") != process

    asyncio.run(scenario())


def test_a_worker_that_dies_in_idleness_is_replaced_before_a_request_finds_out(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            process = await ask(pool, "x")
            os.kill(process, signal.SIGKILL)
            await until(lambda: not pool.ready)
            assert await ask(pool, "x") != process
            process = await ask(pool, "x")
            os.kill(process, signal.SIGKILL)
            await until(lambda: pool.restarts["lost"] == 2)
            await until(lambda: pool.ready == 1)

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for memory")
def test_a_worker_that_grew_is_replaced(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy, worker_bytes=200_000_000) as pool:
            process = await ask(pool, "hoard 1000")
            assert await ask(pool, "hoard 250000000") == process
            assert pool.restarts == {"memory": 1}
            assert await ask(pool, "x") != process
            assert 0 < pool.resident < 200_000_000

    asyncio.run(scenario())


def test_who_leaves_the_queue_is_not_worked_for(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            first = asyncio.ensure_future(ask(pool, "sleep 0.4"))
            await until(lambda: pool.busy == 1)
            gone = asyncio.ensure_future(ask(pool, "die"))
            await until(lambda: pool.waiting == 1)
            gone.cancel()
            await asyncio.wait({gone})
            assert pool.waiting == 0
            assert await first == await ask(pool, "x")

    asyncio.run(scenario())


def test_what_runs_is_finished_though_nobody_waits(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            process = await ask(pool, "x")
            gone = asyncio.ensure_future(ask(pool, "sleep 0.3"))
            await until(lambda: pool.busy == 1)
            gone.cancel()
            await asyncio.wait({gone})
            assert pool.busy == 1
            assert await ask(pool, "x") == process

    asyncio.run(scenario())


def test_many_who_come_and_go_leave_every_worker_free(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy, workers=2, queue=100) as pool:
            for wave in range(5):
                tasks = [asyncio.ensure_future(ask(pool, "sleep 0.01")) for _ in range(20)]
                await asyncio.sleep(0.01 * wave)
                for task in tasks[::2]:
                    task.cancel()
                await asyncio.wait(tasks)
            await until(lambda: pool.busy == 0)
            assert pool.waiting == 0
            first, second = await asyncio.gather(ask(pool, "sleep 0.3"), ask(pool, "sleep 0.3"))
            assert first != second
            assert not pool.restarts

    asyncio.run(scenario())


def test_stopping_finishes_what_runs_and_sends_the_others_away(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            process = await ask(pool, "x")
            first = asyncio.ensure_future(ask(pool, "sleep 0.4"))
            second = asyncio.ensure_future(ask(pool, "x"))
            await until(lambda: pool.waiting == 1)
            await pool.stop()
            assert await first == process
            await fails(second, "shutting-down")
            await fails(ask(pool, "x"), "shutting-down")
            assert pool.ready == 0
            with pytest.raises(ProcessLookupError):
                os.kill(process, 0)

    asyncio.run(scenario())


def test_a_worker_that_does_not_start_is_tried_again(
    toy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        monkeypatch.setenv("TOY_FAILS", "1")
        pool = Pool(Settings(workers=1), toy)
        await pool.start()
        try:
            asked = asyncio.ensure_future(ask(pool, "x"))
            await until(lambda: bool(caplog.records))
            assert not asked.done()
            assert pool.ready == 0
            (record,) = caplog.records[:1]
            fields = record.fields  # type: ignore[attr-defined]
            assert (fields["error"], fields["why"]) == ("RuntimeError", "this worker never starts")
            assert any("toy_work.py" in frame for frame in fields["trace"])
            monkeypatch.delenv("TOY_FAILS")
            assert await asked
        finally:
            await asyncio.wait_for(pool.stop(), 30)
        assert "Traceback" not in capfd.readouterr().err

    asyncio.run(scenario())


def test_signals_to_the_whole_group_leave_workers_alone(toy: str) -> None:
    async def scenario() -> None:
        async with running(toy) as pool:
            process = await ask(pool, "x")
            for number in (signal.SIGINT, signal.SIGTERM):
                os.kill(process, number)
            assert await ask(pool, "x") == process

    asyncio.run(scenario())
