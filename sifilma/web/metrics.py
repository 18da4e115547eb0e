"""Metrics that the server processes of one supervisor share: each counts in files of its own, and `/metrics` adds up over all of them.

A process counts under the number of its place among the servers. One that is started in place of another goes on in the same files, so no
figure falls when a process dies, and there are never more files than places.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, disable_created_metrics, generate_latest, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
REQUESTS = Counter("sifilma_requests_total", "Requests answered", ["method", "route", "status"], registry=REGISTRY)
SECONDS = Histogram("sifilma_request_seconds", "Time to answer", ["route"], registry=REGISTRY)
STALE_LISTS = Counter("sifilma_status_lists_not_renewed_total", "Lists served that could not be signed anew", ["reason"], registry=REGISTRY)
TOO_MANY = Counter("sifilma_requests_too_many_total", "Requests refused by a rate limit", ["limit"], registry=REGISTRY)
NOT_RECORDED = Counter("sifilma_denials_not_recorded_total", "Denials counted without an entry of their own", ["act"], registry=REGISTRY)
NOT_SEALED = Counter("sifilma_rows_not_sealed_total", "Rows of authority that were presented and do not count", ["kind"], registry=REGISTRY)
COUNTED = (REQUESTS, SECONDS, STALE_LISTS, TOO_MANY, NOT_RECORDED, NOT_SEALED)
"""Each with labels: the library keeps the values of others where they were made."""
KNOWN = (
    (STALE_LISTS, ("hsm", "key", "witness")),
    (TOO_MANY, ("address", "actor")),
    (NOT_RECORDED, ("access.denied", "access.not_found")),
    (NOT_SEALED, ("user", "session", "api_key")),
)
"""Labels that are shown before the first of their kind is counted."""
WORKER_AGE = Gauge("sifilma_worker_age_seconds", "Time since the worker's last sign of life", registry=REGISTRY)
CLOCK_TRUSTED = Gauge("sifilma_clock_trusted", "1 if the clock is trusted", registry=REGISTRY)
CLOCK_AHEAD = Gauge("sifilma_clock_ahead_seconds", "By how much an untrusted clock is ahead", registry=REGISTRY)
ROWS_FOUND = Gauge("sifilma_row_findings", "Rows that acts rest on and that were changed past the service", registry=REGISTRY)
ROWS_AGE = Gauge("sifilma_rows_compared_age_seconds", "Time since every row that acts rest on was compared", registry=REGISTRY)
KEY_DAYS = Gauge("sifilma_signing_key_days", "Days until signing with the first of the signing keys ends", registry=REGISTRY)
KEYS_DIFFERING = Gauge("sifilma_keys_differing", "Keys on the token that are not what was recorded of them", registry=REGISTRY)
LOG_REFUSED = Gauge("sifilma_log_signing_refused", "1 while the log is not signed: it is not what was signed before", registry=REGISTRY)
WITNESS_FAULT = Gauge("sifilma_log_witness_fault", "1 while the witness is away, differs, or saw another log", ["fault"], registry=REGISTRY)
WITNESS_AGE = Gauge("sifilma_log_witnessed_age_seconds", "Time since the witness last saw a checkpoint; NaN without one", registry=REGISTRY)
HSM_USED = Gauge("sifilma_hsm_used", "1 if the token signs and its keys are as recorded, 0 while it is out", ["token"], registry=REGISTRY)
WITNESS_STATE = Gauge(
    "sifilma_witness_state", "1 for the state that the last comparison with the witness found", ["state"], registry=REGISTRY
)
WITNESS_LAG = Gauge("sifilma_witness_lag_seconds", "Age of the oldest statement that the witness does not have", registry=REGISTRY)
NUMBERS_LEFT = Gauge("sifilma_numbers_left", "Numbers that may leave before the witness must know more", ["counter"], registry=REGISTRY)
NUMBERS_DAYS = Gauge("sifilma_numbers_days", "Days for which they last at the pace of today", ["counter"], registry=REGISTRY)
MEASURES: list[Callable[[], None]] = []
"""What packages above this one set for a scrape. Each leaves its gauge as it was where the database does not answer."""
FILES = ("counter", "histogram")  # as the library names them
ROOM = 4 * 1024 * 1024
"""Bytes of a file: more than all routes need. They are taken from the disk at once, since a full disk would kill a process that writes."""

cast(Any, disable_created_metrics)()  # files have no such values
log = structlog.get_logger()
_shared: list[Path] = []


def _show_known() -> None:
    for metric, labels in KNOWN:
        for label in labels:
            metric.labels(label)


def sharing(home: Path) -> Callable[[int], None]:
    """Return what each server process calls with its place before it serves. Without room on the disk each counts for itself."""
    try:
        return partial(share, make_folder(home))
    except OSError as fault:
        log.error("metrics not shared", fault=str(fault))
        return lambda _place: None


def make_folder(home: Path) -> Path:
    """Make the folder for the files of this supervisor, and remove those of supervisors that are gone. Raise OSError without room."""
    run = home / "run"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in run.glob("metrics-*"):
        if not Path("/proc", left.name.partition("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = run / f"metrics-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)  # of a process that had the same number
    folder.mkdir(mode=0o700)
    return folder


def share(folder: Path, place: int) -> None:
    """Count in the files of this place from now on. Without room for them this process counts for itself, and `/metrics` says less."""
    try:
        for kind in FILES:
            _prepare(folder / f"{kind}_{place}.db")
    except OSError as fault:
        log.error("metrics not shared", fault=str(fault))
        return
    for metric in COUNTED:
        metric.clear()  # values of before are not in the files; the library warns of it once they are
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # where the library's values look for it
    values.ValueClass = _chosen(place)  # the library's way to choose it
    _show_known()
    _shared[:] = [folder]


def _chosen(place: int) -> Any:
    """Return what makes a value: those of counters and histograms lie in files, a gauge is set by the process that is asked."""
    shared, own = cast(Any, values.MultiProcessValue)(lambda: place), cast(Any, values.MutexValue)

    def made(kind: str, *rest: Any, **named: Any) -> Any:
        return (shared if kind in FILES else own)(kind, *rest, **named)

    return made


def _prepare(path: Path) -> None:
    """Take the room of a file. One that a killed process left unreadable begins anew."""
    if path.exists():
        try:
            list(cast(Any, MmapedDict).read_all_values_from_file(str(path)))
        except (RuntimeError, ValueError):
            path.unlink()
    with path.open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, ROOM)


def exposition() -> bytes:
    """Return all metrics in Prometheus's text format."""
    return generate_latest(_Together(_shared[0]) if _shared else REGISTRY)


class _Together(Collector):
    """Counters and histograms of all places, and what this process sets itself for a scrape."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        yield from cast(Any, MultiProcessCollector)(None, str(self._folder)).collect()
        yield from (metric for metric in REGISTRY.collect() if metric.type == "gauge")


_show_known()
