"""Small modules that everything uses: clock, ids, deadline, letter numbers, logging, life cycles."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
import structlog

from sifilma.approvals.letters import letter_key, number_warning
from sifilma.kernel import deadline, logging
from sifilma.kernel.clock import ManualClock, SystemClock
from sifilma.kernel.deadline import Allowance
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import LifeCycle, Transition, mermaid
from sifilma.kernel.many import parallel
from sifilma.kernel.many.parallel import AT_A_TIME, PART, in_parts
from tests.support.simultaneous_calls import run_simultaneously


def test_ids_are_uuid_version_7_and_increase_within_one_millisecond() -> None:
    made = [uuid7() for _ in range(2000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {one.version for one in made} == {7}
    assert abs((made[0].int >> 80) - time.time() * 1000) < 5000


def test_ids_of_many_threads_are_unique() -> None:
    made = run_simultaneously([lambda: [uuid7() for _ in range(500)]] * 8)
    assert len({one for part in made for one in part}) == 4000


def test_parts_that_other_threads_work_on_end_with_the_callers_deadline() -> None:
    seen = set[int]()

    def left(part: Sequence[int]) -> list[float | None]:
        time.sleep(0.02)
        seen.add(threading.get_ident())
        return [deadline.remaining() for _ in part]

    with deadline.limit(5):
        limited = in_parts(left, range(4 * PART))
    assert len(limited) == 4 * PART
    assert all(one is not None and 0 < one <= 5 for one in limited)
    assert len(seen) > 1
    assert in_parts(left, range(2 * PART)) == [None] * (2 * PART)


@pytest.mark.parametrize(("share", "at_a_time"), [(0.1, AT_A_TIME), (0.9, 1)])
def test_what_waits_is_done_several_parts_at_a_time_and_what_computes_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, share: float, at_a_time: int
) -> None:
    done, under_way, most = list[int](), list[int](), list[int]()
    clock = SimpleNamespace(monotonic=lambda: float(len(done)), process_time=lambda: share * len(done))
    monkeypatch.setattr(parallel, "time", clock)

    def noted(part: Sequence[int]) -> list[int]:
        done.append(1)
        under_way.append(1)
        most.append(len(under_way))
        time.sleep(0.05)
        under_way.pop()
        return [-number for number in part]

    numbers = range(9 * PART + 7)
    assert in_parts(noted, numbers) == [-number for number in numbers]
    assert max(most) == at_a_time


def test_work_in_steps_has_time_of_its_own_and_costs_the_request_none() -> None:
    with deadline.limit(0.05):
        with deadline.suspended():
            assert deadline.remaining() is None
            time.sleep(0.06)
            with Allowance(0.02, 5).step():
                assert 4 < (deadline.remaining() or 0) <= 5
        assert 0 < (deadline.remaining() or 0) <= 0.05
    assert deadline.remaining() is None
    allowed = Allowance(0.02, 5)
    assert not allowed.is_over
    time.sleep(0.03)
    assert allowed.is_over


def test_a_manual_clock_changes_only_when_it_is_set() -> None:
    start = datetime(2026, 1, 1, 7, tzinfo=timezone(timedelta(hours=7)))
    clock = ManualClock(start)
    assert clock.now() == start
    assert clock.now().tzinfo is UTC
    clock.advance(minutes=5)
    assert clock.now() - start == timedelta(minutes=5)
    assert SystemClock().now().tzinfo is UTC


def test_a_nested_deadline_only_shortens_and_ends_with_its_block() -> None:
    assert deadline.remaining() is None
    with deadline.limit(10):
        with deadline.limit(1), deadline.limit(60):
            assert 0 < (deadline.remaining() or 0) <= 1
        assert 9 < (deadline.remaining() or 0) <= 10
        with deadline.limit(-1):
            assert deadline.remaining() == 0
    assert deadline.remaining() is None


def test_letter_numbers_are_compared_without_spaces_and_case() -> None:
    assert letter_key("470 / 773 / Dukcapil/2018") == letter_key("470/773/DUKCAPIL/2018")
    assert letter_key("470/773") != letter_key("470/774")


@pytest.mark.parametrize("number", ["470/9259/Dukcapil", "400.8.1.2/6753/Dukcapil", "470 / 773 / Dukcapil/2018", "470/304/1403.111/2018"])
def test_a_usual_letter_number_gives_no_warning(number: str) -> None:
    assert number_warning(number) is None


def test_an_unusual_letter_number_gives_a_warning() -> None:
    assert "usual pattern" in (number_warning("Surat 5") or "")


def test_no_secret_reaches_a_log_line() -> None:
    out = io.StringIO()
    with redirect_stderr(out):
        logging.configure("INFO", as_json=True)
        structlog.get_logger().info("signed in", password="hunter22", token="abcdef", Authorization="Bearer x", user="ratna")
    line = json.loads(out.getvalue())
    assert line["user"] == "ratna"
    assert {line["password"], line["token"], line["Authorization"]} == {"***"}
    assert "hunter22" not in out.getvalue()


def test_a_life_cycle_is_drawn_as_a_mermaid_diagram() -> None:
    from sifilma.kernel import triggers

    before = dict(triggers._rules)
    cycle = LifeCycle("lamp", "lamp", ["off"], [Transition("off", "on", entails="light; warmth")])
    triggers._rules.clear()
    triggers._rules.update(before)
    assert mermaid(cycle).splitlines() == ["stateDiagram-v2", "    [*] --> off", "    off --> on: light, warmth"]
