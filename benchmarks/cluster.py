"""A batch on a Dask cluster, from one S3 server to itself: rates by the photos' size, and what kills do to it.

Everything is on this machine: the S3 server (moto), the scheduler, a worker process of one thread for each processor,
and `trimatte cutout s3://... --cluster ...`. The rate of each size is for sizing; then a worker and later the client
are killed (SIGKILL) midway, the client is started anew, and the results are compared with those of a run in peace.

    python benchmarks/cluster.py [--count 60] [--price 0.04]
    python benchmarks/cluster.py --count 6 --megapixels 0.25       # to try the script: leaves `results` alone
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from common import RESULTS, RUNS, heading

from batch import make_photos

SIZES = (1.0, 4.0, 12.0)
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="photos of one megapixel; fewer of larger ones")
    parser.add_argument("--megapixels", type=float, nargs="+", default=SIZES)
    parser.add_argument("--photos", metavar="FOLDER", help="pictures to make the photos from")
    parser.add_argument("--price", type=float, default=0.04, help="of a processor for an hour, in dollars")
    given = parser.parse_args()

    import s3fs
    from distributed import LocalCluster
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(KEYS, AWS_ENDPOINT_URL=f"http://{host}:{port}")
    system = s3fs.S3FileSystem()
    system.mkdir("bench")
    workers = len(os.sched_getaffinity(0))
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
    ) as cluster:
        text = "\n".join(report(given, system, cluster, workers)) + "\n"
    server.stop()
    print(text)
    if given.count >= 60 and tuple(given.megapixels) == SIZES:
        (RESULTS / "cluster.md").write_text(text)


def report(given: argparse.Namespace, system: Any, cluster: Any, workers: int) -> Iterator[str]:
    yield from heading("A batch on a Dask cluster")
    yield ""
    kind = "made from a folder's" if given.photos else "synthetic"
    yield f"{workers} workers of one thread, S3 server and client on the same machine; photos {kind}; default options."
    yield f"Costs are for {given.price} $ a processor and hour, and without those of storage and requests."
    yield ""
    yield "| megapixels | photos | seconds | photos an hour and processor | a million: processor hours | dollars |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: |"
    for size in given.megapixels:
        count = max(2 * workers, round(given.count / size))
        upload(given, system, count, size)
        cut(cluster, size, out="warm", first=True)
        seconds = cut(cluster, size, out="cut")
        rate = count / seconds * 3600 / workers
        hours = 1e6 / rate
        yield f"| {size:g} | {count} | {seconds:.0f} | {rate:.0f} | {hours:.0f} | {hours * given.price:.0f} |"
        print(size, "done", flush=True)
    yield ""
    yield kills(cluster, system, given.megapixels[0])


def upload(given: argparse.Namespace, system: Any, count: int, size: float) -> None:
    folder = RUNS / "cluster" / f"{size:g}"
    shutil.rmtree(folder, ignore_errors=True)
    make_photos(folder, given.photos, count, round(1000 * size**0.5))
    for path in sorted(folder.iterdir()):
        system.pipe_file(f"bench/{size:g}/photos/{path.name}", path.read_bytes())
    system.pipe_file(f"bench/{size:g}/one/{path.name}", path.read_bytes())


def command(cluster: Any, size: float, out: str, source: str = "photos") -> list[str]:
    words = ["cutout", f"s3://bench/{size:g}/{source}", "-o", f"s3://bench/{size:g}/{out}"]
    return [sys.executable, "-m", "trimatte", *words, "--cluster", cluster.scheduler_address]


def cut(cluster: Any, size: float, out: str, first: bool = False) -> float:
    """Seconds of a whole run of the command."""
    start = time.monotonic()
    words = command(cluster, size, out, "one" if first else "photos")
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def kills(cluster: Any, system: Any, size: float) -> str:
    from distributed import Client

    base = f"bench/{size:g}/"
    whole = results(system, f"{base}cut")
    client = subprocess.Popen(command(cluster, size, "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(system, f"{base}killed", len(whole) // 4, client)
    with Client(cluster) as asked:
        victim = next(iter(asked.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    wait_for(system, f"{base}killed", len(whole) // 2, client)
    client.kill()
    client.wait()
    between = len(results(system, f"{base}killed"))
    code = subprocess.run(command(cluster, size, "killed"), stdout=subprocess.DEVNULL).returncode
    after = results(system, f"{base}killed")
    same = "all as those of a run in peace" if after == whole else "NOT as those of a run in peace"
    left = len(system.find(f"{base}killed/.trimatte"))
    return (
        f"A worker killed at a quarter, the client at the half ({between} of {len(whole)} results), then started anew: "
        f"exit code {code}, {len(after)} results, {same}; {left} files left over."
    )


def results(system: Any, folder: str) -> dict[str, str]:
    system.invalidate_cache()
    found = system.find(folder, detail=True)
    return {path[len(folder) :]: about["ETag"] for path, about in found.items() if path.endswith(".png")}


def wait_for(system: Any, folder: str, count: int, client: subprocess.Popen[bytes]) -> None:
    while len([path for path in results(system, folder) if "/.trimatte/" not in path]) < count:
        if client.poll() is not None:
            raise SystemExit("the client ended too early")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
