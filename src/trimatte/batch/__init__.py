"""Many pictures: a folder is cut out into another, and no kill at any moment loses work.

`run_batch` goes over a folder with worker processes. What it did is in a manifest beside the results, one JSON object a
line; run again, it does what is new, has changed, or is asked with other options. Names are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimatte.runtime.lazy import first_use

if TYPE_CHECKING:
    from trimatte.batch.plan import parse_shard as parse_shard
    from trimatte.batch.run import run_batch as run_batch
    from trimatte.batch.summary import BatchSummary as BatchSummary

_NAMES = {"BatchSummary": "summary", "parse_shard": "plan", "run_batch": "run"}

__all__ = ["BatchSummary", "parse_shard", "run_batch"]


def __getattr__(name: str) -> Any:
    return first_use(globals(), _NAMES, name)
