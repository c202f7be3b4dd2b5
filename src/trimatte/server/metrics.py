"""What Prometheus is told, at /metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from trimatte.server.bodies import Held
from trimatte.server.pool import Pool

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counts of one application, apart from those of any other in the process."""

    def __init__(self, pool: Pool, held: Held) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Now(pool, held))
        self.requests = Counter(
            "trimatte_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "trimatte_request_seconds",
            "From a request's head to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.stages = Counter(
            "trimatte_stage_seconds", "Time that workers spent, by stage.", ("stage",), registry=self.registry
        )

    def page(self) -> Response:
        """All metrics in Prometheus' text format."""
        return Response(generate_latest(self.registry), media_type="text/plain; version=0.0.4; charset=utf-8")


class _Now(Collector):
    """The state of the pool at the time it is asked for."""

    def __init__(self, pool: Pool, held: Held) -> None:
        self.pool = pool
        self.held = held

    def collect(self) -> Iterator[Metric]:
        pool = self.pool
        yield GaugeMetricFamily("trimatte_workers_ready", "Workers that are up.", pool.ready)
        yield GaugeMetricFamily("trimatte_workers_busy", "Workers that work on a request.", pool.busy)
        yield GaugeMetricFamily("trimatte_requests_waiting", "Requests that wait for a worker.", pool.waiting)
        yield GaugeMetricFamily("trimatte_workers_resident_bytes", "Memory that the workers hold.", pool.resident)
        yield GaugeMetricFamily("trimatte_held_bytes", "Bodies and answers in memory.", self.held.bytes)
        restarts = CounterMetricFamily("trimatte_workers_replaced", "Workers replaced, by reason.", labels=("reason",))
        for reason in ("over-time", "memory", "lost", "defect"):
            restarts.add_metric((reason,), pool.restarts[reason])
        yield restarts
