"""The dispatcher of SQLite: one process works, and each chore has its rhythm."""

from __future__ import annotations

import faulthandler
from pathlib import Path
from threading import Event, Thread
from uuid import UUID

import pytest

from sifilma.dispatch.contract import Chore, Turn
from sifilma.dispatch.engine import cron_of
from sifilma.dispatch.in_process import InProcess, _held


def nothing() -> int:
    return 0


def turn(_subject: UUID) -> Turn:
    return Turn()


def test_a_second_process_waits_for_the_end_of_the_first(tmp_path: Path) -> None:
    begins, works, lock = Event(), Event(), tmp_path / "worker.lock"

    def second() -> None:
        begins.set()
        with _held(lock):
            works.set()

    with _held(lock):
        waiting = Thread(target=second)
        waiting.start()
        assert begins.wait(5)
        assert not works.wait(0.2)
    waiting.join(5)
    assert works.is_set()


def test_what_is_asked_for_runs_each_time_and_the_rest_by_its_rhythm(tmp_path: Path) -> None:
    ran: list[str] = []
    chores = {
        "messages": Chore(nothing, False, due=lambda _: True),
        "files": Chore(nothing, True, turn=turn),
        "soon": Chore(nothing, False, 10),
        "later": Chore(nothing, False, 60),
    }

    def run(name: str) -> int:
        ran.append(name)
        return int(name == "files" and len(ran) < 5)

    mine = InProcess(chores, run, tmp_path, lambda _: None)
    assert mine._round(100.0)  # files go on at once
    assert not mine._round(101.0)
    mine._round(111.0)
    assert ran == ["messages", "files", "soon", "later", "messages", "files", "messages", "files", "soon"]


def test_a_chore_hangs_after_two_minutes_or_after_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[float] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, exit: allowed.append(seconds))  # noqa: ARG005
    chores = {"short": Chore(nothing, False, most_seconds=25.0), "papers": Chore(nothing, False, most_seconds=1800.0)}
    InProcess(chores, lambda _: 0, tmp_path, lambda _: None)._round(100.0)
    assert allowed == [120, 1800]


def test_the_engine_has_the_same_rhythm() -> None:
    assert (cron_of(10, 3), cron_of(60, 3), cron_of(600, 3)) == ("* * * * * */10", "*/1 * * * * 21", "*/10 * * * * 21")
