"""How many threads a process may use: its processors, its container's quota, its own limit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trimatte.runtime import threads


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_limit", None)
    monkeypatch.setattr(threads, "_quota", threads._quota.__wrapped__)


def system(root: Path, membership: str, files: dict[str, str]) -> Path:
    """A folder that looks like /, with the control groups of `membership` and their files."""
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V1 = "4:memory:/x\n3:cpuset:/\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n"


@pytest.mark.parametrize(
    ("membership", "files", "quotas"),
    [
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "250000 100000\n"}, [2.5]),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, []),
        ("0::/\n", {}, []),
        (
            "0::/user.slice/job\n",
            {
                "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n",
                "sys/fs/cgroup/user.slice/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/cpu.max": "800000 100000\n",
            },
            [3.0, 8.0],
        ),
        ("0::/of/the/host\n", {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, [0.5]),
        ("0::/../../above\n", {"sys/fs/cgroup/cpu.max": "100000 100000\n"}, [1.0]),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "nonsense\n"}, []),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "1 0\n"}, []),
        (
            V1,
            {
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "50000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            [3.0],
        ),
        (
            V1,
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            [4.0],
        ),
        (V1, {}, []),
        ("4:cpuacct:/x\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "1000\n"}, []),
        ("nonsense", {}, []),
    ],
)
def test_quotas_of_all_groups(tmp_path: Path, membership: str, files: dict[str, str], quotas: list[float]) -> None:
    assert list(threads._quotas(system(tmp_path, membership, files))) == quotas


def test_no_control_groups(tmp_path: Path) -> None:
    assert list(threads._quotas(tmp_path)) == []


@pytest.mark.parametrize(
    ("processors", "quotas", "limit", "expected"),
    [
        (8, [], None, 8),
        (8, [2.5], None, 2),
        (8, [0.5], None, 1),
        (8, [6.0, 3.0], None, 3),
        (2, [16.0], None, 2),
        (8, [4.0], 3, 3),
        (8, [4.0], 6, 4),
        (1, [], 4, 1),
    ],
)
def test_the_least_of_them_counts(
    monkeypatch: pytest.MonkeyPatch, processors: int, quotas: list[float], limit: int | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(processors)), raising=False)
    monkeypatch.setattr(threads, "_quotas", lambda root: iter(quotas))
    monkeypatch.setattr(threads, "_limit", limit)
    assert threads.available_threads() == expected


def test_without_affinity_all_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    monkeypatch.setattr(threads, "_quotas", lambda root: iter([]))
    assert threads.available_threads() == 5
