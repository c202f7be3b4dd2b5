"""What the handlers of one application share: limits, workers, memory, metrics; and the way of a task to a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import cached_property
from typing import Any

from starlette.types import Receive, Scope

from trimatte.segmentation import registry
from trimatte.server.bodies import ClientGoneError, Held
from trimatte.server.guard import notes
from trimatte.server.metrics import Metrics
from trimatte.server.operations import served_methods, served_segmenters
from trimatte.server.pool import Pool
from trimatte.server.problems import of_error
from trimatte.server.settings import Settings
from trimatte.server.worker import Reply


class Service:
    """What the handlers of one application share.

    Attributes
    ----------
    settings, pool : Settings and Pool
        Limits, and the workers.
    held : Held
        Bodies and answers in memory.
    metrics : Metrics
        For Prometheus.
    """

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self.settings = settings
        self.pool = pool
        self.held = Held(max(settings.held_bytes, settings.max_bytes))
        self.metrics = Metrics(pool, self.held)

    @cached_property
    def models(self) -> dict[str, Any]:
        """What there is to choose from."""
        needy = served_methods(trimap=True)
        return {
            "segmenters": [_described(name) for name in served_segmenters()],
            "methods": [{"name": name, "needs_trimap": name in needy} for name in served_methods(trimap=False)],
        }

    async def work(
        self, scope: Scope, receive: Receive, task: str, files: dict[str, Any], values: dict[str, Any]
    ) -> Reply:
        """Let a worker do a task, unless the client goes away before it begins. Raises `Problem` for its errors."""
        values = {**values, "max_pixels": self.settings.max_pixels, "work_seconds": self.settings.work_seconds}
        reply = await _unless_gone(receive, self.pool.run(task, files, values))
        if reply.error:
            problem = of_error(reply.error, reply.message)
            if problem.code == "defect":
                notes(scope).update(error=reply.error, trace=reply.trace)
            raise problem
        notes(scope)["stages"] = {stage: round(spent, 4) for stage, spent in reply.report.get("seconds", {}).items()}
        return reply


def _described(segmenter: str) -> dict[str, Any]:
    """A segmenter's name and, if there is a card of it, what it is for and on what terms."""
    if not registry.knows(segmenter):
        return {"name": segmenter}
    card = registry.card(segmenter)
    return {"name": segmenter, "purpose": card.purpose, "use": card.use, "licence": dict(card.licence)}


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, Reply]) -> Reply:
    """The outcome of `work`; it is cancelled if the client closes the connection. The body must have been read."""
    job = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            raise ClientGoneError
        return job.result()
    finally:
        for task in (job, gone):
            task.cancel()
        await asyncio.gather(job, gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
