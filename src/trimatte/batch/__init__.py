"""Many pictures: a folder is cut out into another, and no kill at any moment loses work.

`run_batch` goes over a folder with worker processes. What it did is in a manifest beside the results, one JSON object a
line; run again, it does what is new, has changed, or is asked with other options.
"""

from __future__ import annotations

from trimatte.batch.plan import parse_shard as parse_shard
from trimatte.batch.run import run_batch as run_batch
from trimatte.batch.summary import BatchSummary as BatchSummary

__all__ = ["BatchSummary", "parse_shard", "run_batch"]
