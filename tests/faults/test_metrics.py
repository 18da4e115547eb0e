"""Figures of `/metrics` with two server processes: they add up, whichever answers, and do not fall when one is killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hsm import HSM
from sifilma.web import metrics
from tests.support.servers import Server, named, running
from tests.support.world import API, World


@pytest.fixture
def world_of_two(sqlite_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation whose server has two processes."""
    with closing(World(sqlite_url, tmp_path / "home", signing_token, root_token, workers=2)) as world:
        yield world


def asked(server: Server, times: int) -> None:
    for _ in range(times):
        assert server.call("GET", API + "/me")[0] == 401


def counted(server: Server) -> tuple[int, int]:
    """The answers to `asked`, by counter and by histogram, as one of the processes says."""
    said = server.call("GET", "/metrics")[1]
    found = (
        re.search(r'^sifilma_requests_total\{method="GET",route="/api/v1/me",status="401"\} (\d+)', said, re.M),
        re.search(r'^sifilma_request_seconds_count\{route="/api/v1/me"\} (\d+)', said, re.M),
    )
    first, second = (int(one[1]) if one else 0 for one in found)
    return first, second


def test_the_figures_of_two_processes_add_up_and_none_falls_when_a_process_is_killed(world_of_two: World) -> None:
    world = world_of_two
    with running(world) as server:
        asked(server, 30)
        assert {counted(server) for _ in range(12)} == {(30, 30)}, "each process counts for itself"
        before = named(server.pid, "sifilma-server")
        for killed in before:  # both, so that one of them has counted
            os.kill(killed, signal.SIGKILL)
        until = time.monotonic() + 10
        while len(set(named(server.pid, "sifilma-server")) - set(before)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        server.wait()
        assert {counted(server) for _ in range(12)} == {(30, 30)}, "what dead processes counted is lost"
        asked(server, 10)
        assert {counted(server) for _ in range(12)} == {(40, 40)}
    folders = list((world.settings.home / "run").iterdir())
    assert [len(list(folder.glob("*.db"))) for folder in folders] == [4], "there are more files than two places need"


def test_files_of_supervisors_that_are_gone_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for process in ("999999999", str(os.getppid())):
        (run / f"metrics-{process}").mkdir(parents=True)
    made = metrics.make_folder(tmp_path)
    assert {folder.name for folder in run.iterdir()} == {f"metrics-{os.getppid()}", made.name}
    (made / "counter_0.db").write_bytes(b"x")
    assert list(metrics.make_folder(tmp_path).iterdir()) == []
