"""What is late by the service targets: on the home page, in the list of tasks, on the way, in the queues and in reminders."""

from __future__ import annotations

import re

from sifilma.kernel.timekeeping.targets import ZONE
from sifilma.notifications.contract import Channel
from sifilma.reports.message_texts import Reader, digest
from sifilma.reports.reminders_due import dues
from sifilma.resources import resources
from tests.support.visitor import Visitor, english
from tests.support.world import World, done, new_uid

PERSONALISATION, ACTIVATION = "/personalisasi", "/aktivasi"


def late_in(world: World, who: str) -> tuple[int, int, int]:
    """Return how many tasks are late with somebody, and how many late requests of both kinds they see."""
    reader = english(world, who)
    tile = reader.text("/").partition("Late with you ")[2].split()[0]
    text = reader.text("/tugas", terlambat="1")
    assert f"{tile} task" in text
    personalisation, activation = (_total(reader, path) for path in (PERSONALISATION, ACTIVATION))
    calls = [done(world.client(who).get(path, late="true"))["items"] for path in ("/personalisation-requests", "/activation-requests")]
    assert [len(items) for items in calls] == [personalisation, activation]
    return int(tile), personalisation, activation


def _total(reader: Visitor, path: str) -> int:
    [total] = re.findall(r'<p class="listed"><strong>(\d+) ', reader.get(path, terlambat="1").get_data(as_text=True))
    return int(total)


def test_each_stage_is_late_from_the_working_day_after_its_target(world: World) -> None:
    request = world.submitted()["id"]  # Monday 23 November; due on Thursday
    page = f"{PERSONALISATION}/{request}"
    assert "due on 26 Nov 2026" in english(world, "magetan.kepala").text(page)
    world.clock.advance(days=3, hours=13, minutes=59)  # 23.59 WIB of that Thursday
    assert late_in(world, "penyetuju1") == (0, 0, 0)
    world.clock.advance(minutes=2)
    assert late_in(world, "penyetuju1") == (1, 1, 0)
    assert late_in(world, "magetan.kepala") == (0, 1, 0)  # it does not wait for them
    assert "late by 1 working day · due on 26 Nov 2026" in english(world, "magetan.kepala").text("/")
    world.clock.advance(days=2)  # a weekend later it is late by as much
    assert "late by 1 working day" in english(world, "operator1").text(page)
    world.clock.advance(days=1)
    assert "late by 2 working days" in english(world, "penyetuju2").text("/tugas")
    world.approve("personalisation-requests", request, "penyetuju1", "penyetuju2")  # Monday 30 November
    world.clock.advance(days=1)
    assert late_in(world, "operator1") == (0, 0, 0)  # the approval counts, not the letter
    world.clock.advance(days=7)  # Tuesday 8 December: the sixth working day
    assert late_in(world, "operator1") == (1, 1, 0)
    assert "late by 1 working day · due on 7 Dec 2026" in english(world, "operator1").text(page)
    uid = new_uid()
    results = {"results": [{"sam_uid": uid, "outcome": "personalised"}]}
    done(world.client("operator1").post(f"/personalisation-requests/{request}/results", results))
    bast = done(world.client("operator1").post("/handovers", {"to": str(world.organisation_of("magetan.kepala")), "cards": [uid]}), 201)
    world.clock.advance(days=6)
    assert late_in(world, "magetan.staf") == (1, 0, 0)
    assert "late by 1 working day" in english(world, "magetan.staf").text(f"/kartu/{uid}")
    done(world.client("magetan.kepala").post(f"/handovers/{bast['id']}/receive"))
    asked = world.requested("magetan.kepala", [uid])["id"]  # Monday 14 December
    world.clock.advance(days=3)
    assert late_in(world, "penyetuju1") == (1, 0, 1)
    for path in (f"{ACTIVATION}/{asked}", f"/kartu/{uid}"):  # the second approval of a card has a target of its own
        assert "late by 1 working day · due on 16 Dec 2026" in english(world, "penyetuju1").text(path)


def test_a_target_of_no_days_makes_nothing_late(sqlite_world: World) -> None:
    sqlite_world.configure(target_approval_days=0)
    sqlite_world.submitted()
    sqlite_world.clock.advance(days=40)
    assert late_in(sqlite_world, "penyetuju1") == (0, 0, 0)
    assert "due on" not in english(sqlite_world, "penyetuju1").text("/")


def test_a_reminder_says_what_is_late_and_comes_again_when_it_becomes_late(sqlite_world: World) -> None:
    def told() -> tuple[list[str], str]:
        with sqlite_world.acting("penyetuju1") as ctx:
            found = list(dues(ctx, sqlite_world.settings))
            _, text = digest(resources().site, Reader("en", ZONE), Channel.EMAIL, found)
            return [due.occasion for due in found], text

    sqlite_world.submitted()
    sqlite_world.clock.advance(days=3)
    [in_time], text = told()
    assert "late" not in text
    sqlite_world.clock.advance(days=1)
    [late], text = told()
    assert late != in_time
    assert "late by 1 working day" in text
    assert len(late) <= 40  # as long as a reminder's occasion is kept
