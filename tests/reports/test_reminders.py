"""Reminders: each occasion is reported once, in one message a day, in the reader's language and time zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from typing import Any

import pytest

from hsm import HSM
from sifilma.demo import facts
from sifilma.identity.models import User
from sifilma.notifications.delivery import deliver
from sifilma.reports import reminders
from sifilma.reports.reminders import remind
from sifilma.resources import resources
from tests.notifications import receivers
from tests.support.databases import KINDS, Fresh
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import World, done


@pytest.fixture(scope="module", autouse=True)
def unhurried() -> Iterator[None]:
    """Let a round take its time: on a loaded machine it would tell some people in the next one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reminders, "ROUND_SECONDS", 600.0)
        yield


@pytest.fixture(scope="module", params=KINDS)
def once_told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM) -> Fresh:
    """Return a factory of databases in which everybody has an address and one round has run: that takes a second."""

    def begin(url: str) -> None:
        with closing(World(url, tmp_path_factory.mktemp("told"), signing_token, root_token)) as made:
            reachable(made)
            assert round_(made) == 0

    fresh: Fresh = request.getfixturevalue(f"inhabited_{request.param}")
    return fresh.holding(begin)


@pytest.fixture
def told(once_told: Fresh, new_world: Callable[[Fresh], AbstractContextManager[World]]) -> Iterator[World]:
    """Yield an installation with mail in which one round has run, so that everybody's next morning is set."""
    with new_world(once_told) as made:
        mailing(made)
        yield made


def reachable(world: World) -> None:
    """Enable mail and give everybody an address of their own."""
    mailing(world)
    world.change(User, phone="+628120000001", email=lambda user: f"{user.username}@contoh.example")


def mailing(world: World) -> None:
    """Enable mail."""
    world.configure(smtp_host="127.0.0.1", smtp_security="none")


def round_(world: World) -> int:
    """Run one round of the worker; return the number of people who were reminded."""
    return remind(world.context, world.settings, resources(world.app).site)


def mailed(world: World) -> dict[str, Any]:
    """Deliver to a real mail server; return subject and text by the receiver's name."""
    with receivers.mail_server() as server:
        while deliver(world.context, world.settings.model_copy(update={"smtp_port": server.port})):
            pass
    letters = [(to[0].partition("@")[0], message) for to, message in server.items]
    assert len({who for who, _ in letters}) == len(letters)  # one message for each person
    return {who: (str(message["Subject"]), message.get_payload(decode=True).decode()) for who, message in letters}


def test_a_request_that_waits_too_long_is_reported_with_its_page_to_whoever_must_act(told: World) -> None:
    request = told.submitted()
    told.clock.advance(days=1)
    assert round_(told) == 0
    told.clock.advance(days=2)
    assert round_(told) == 4
    letters = mailed(told)
    assert set(letters) == {"penyetuju1", "penyetuju2", "operator1", "operator2"}
    subject, text = letters["penyetuju1"]
    assert subject == "[UJI] SI-FILMA: 1 hal perlu tindakan Anda"
    assert f"Putuskan permohonan personalisasi · {request['letter_number']} · 1 kartu" in text
    assert "sejak 23 Nov 2026 10.00 WIB" in text
    assert f"{told.settings.public_url}/personalisasi/{request['id']}" in text
    assert "Indah" not in text  # the submitter's name is not in the mail


def test_an_occasion_is_reported_once_and_again_after_a_week(told: World) -> None:
    told.submitted()
    counts = []
    for _ in range(11):
        told.clock.advance(days=1)
        counts.append(round_(told))
    assert counts == [0, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0]


def test_two_workers_remind_nobody_twice(postgresql_world: World) -> None:
    reachable(postgresql_world)
    round_(postgresql_world)
    postgresql_world.submitted()
    postgresql_world.clock.advance(days=3)
    counts = run_simultaneously([lambda: round_(postgresql_world)] * 4)
    assert (sum(counts), postgresql_world.sql("SELECT count(*) FROM outbox_message")) == (4, [(4,)])


def test_a_repeated_reminder_is_refused_by_its_key(told: World) -> None:
    told.submitted()
    told.clock.advance(days=3)
    assert round_(told) == 4
    with told.context() as ctx:
        told.sql("UPDATE digest SET due_at = :now", now=str(ctx.now))  # as after a restore of an older copy
    assert round_(told) == 0


def test_returned_requests_and_open_basts_are_reported_the_next_morning(told: World) -> None:
    request = told.submitted()["id"]
    done(told.client("operator1").post(f"/personalisation-requests/{request}/return", {"note": "surat kurang jelas"}))
    uids = told.personalised("bangli.kepala", "R")
    done(told.client("operator1").post("/handovers", {"to": str(told.organisation_of("bangli.kepala")), "cards": uids}), 201)
    told.sql("DELETE FROM outbox_message")
    told.clock.advance(days=1)
    round_(told)
    letters = mailed(told)
    assert "Perbaiki permohonan personalisasi yang dikembalikan" in letters["magetan.kepala"][1]
    assert "kurang jelas" not in letters["magetan.kepala"][1]
    assert "Terima kartu (BAST)" in letters["bangli.kepala"][1]
    assert "WITA" in letters["bangli.kepala"][1]


def test_tokens_manifests_and_agreements_are_reported_before_they_end(told: World) -> None:
    told.ready()
    told.active("bangli.kepala", "R")
    round_(told)
    for days, who, words in (
        (12, "magetan.staf", "Token yang belum dipakai akan kedaluwarsa"),
        (670, "mandiri.kepala", "Perjanjian kerja sama (PKS) berakhir · 119/PKS-DEMO/1"),
        (358, "bangli.kepala", "Manifest berakhir · 1 kartu"),
    ):
        told.sql("DELETE FROM outbox_message")
        told.clock.advance(days=days)
        round_(told)
        assert words in mailed(told)[who][1]
    told.clock.advance(days=1)
    round_(told)
    assert "bangli.kepala" not in mailed(told)


def test_the_heads_are_reminded_30_and_7_days_before_a_key_of_a_program_expires(told: World) -> None:
    made = done(told.client("magetan.kepala").post("/api-keys", {"name": "Server aktivasi", "days": 60}), 201)
    for name in ("dicabut", "lama"):
        other = done(told.client("magetan.kepala").post("/api-keys", {"name": name, "days": 60 if name == "dicabut" else 365}), 201)
        if name == "dicabut":
            done(told.client("magetan.kepala").call("DELETE", f"/api-keys/{other['id']}"))
    round_(told)
    for days, is_told in ((25, False), (6, True), (10, False), (13, True), (2, False)):
        told.sql("DELETE FROM outbox_message")
        told.clock.advance(days=days)
        round_(told)
        letters = mailed(told)
        assert set(letters) == ({"magetan.kepala"} if is_told else set()), days
        if is_told:
            told_of = letters["magetan.kepala"][1]
            assert "Kunci API akan kedaluwarsa: buat yang baru untuk programnya · Server aktivasi" in told_of
            assert f"/kunci-api/{made['id']}" in told_of
            assert "dicabut" not in told_of


def test_choices_are_respected_and_disabled_accounts_get_no_reminder(told: World) -> None:
    told.submitted()
    told.sql("UPDATE user_account SET notices = 'sms' WHERE username = 'penyetuju1'")
    told.sql("UPDATE user_account SET notices = '' WHERE username = 'penyetuju2'")
    told.sql("UPDATE user_account SET language = 'en' WHERE username = 'operator1'")
    told.change_account("operator2", state="disabled")
    told.clock.advance(days=3)
    with receivers.gateway() as server:
        told.settings = told.settings.model_copy(update={"sms_webhook_url": f"http://127.0.0.1:{server.port}/"})
        assert round_(told) == 2
        letters = mailed(told)
    assert [body["text"] for _, body in server.items] == ["UJI: SI-FILMA: 1 hal perlu tindakan Anda. Lihat http://127.0.0.1:8000/"]
    assert set(letters) == {"operator1"}
    assert letters["operator1"][0] == "[UJI] SI-FILMA: 1 thing needs you"
    assert "Verify a personalisation request" in letters["operator1"][1]


def test_the_submitter_is_told_the_decision_at_once(told: World) -> None:
    for what, said in (("return", "dikembalikan untuk perbaikan"), ("reject", "ditolak")):
        request = told.submitted(function="R")
        who = "operator1" if what == "return" else "penyetuju1"
        done(told.client(who).post(f"/personalisation-requests/{request['id']}/{what}", {"note": "rahasia"}))
        [(name, (subject, text))] = mailed(told).items()
        assert name == "magetan.kepala"
        assert said in subject
        assert request["letter_number"] in text
        assert "rahasia" not in text
    told.received("magetan.kepala", "R")
    assert "disetujui" in mailed(told)["magetan.kepala"][0]


def test_a_failed_step_writes_no_message(told: World) -> None:
    request = told.submitted(function="R")["id"]
    assert told.client("penyetuju1").post(f"/personalisation-requests/{request}/approve", {"digest": "0" * 64}).status_code == 409
    assert mailed(told) == {}


def test_without_an_enabled_channel_the_bell_rings_and_no_message_is_written(world: World) -> None:
    round_(world)
    world.submitted()
    world.clock.advance(days=3)
    assert round_(world) == 0
    assert world.sql("SELECT count(*) FROM outbox_message") == [(0,)]
    assert world.sql("SELECT count(*) FROM notice") == [(4,)]
    reachable(world)
    world.clock.advance(days=1)
    assert round_(world) == 0  # they were told of this occasion
    world.clock.advance(days=7)
    assert round_(world) == 4


def test_a_thousand_manifests_of_one_day_are_one_line_of_the_reminder(sqlite_world: World) -> None:
    reachable(sqlite_world)
    sqlite_world.active(count=3)
    round_(sqlite_world)
    sqlite_world.clock.advance(days=1036)
    round_(sqlite_world)
    text = mailed(sqlite_world)["magetan.kepala"][1]
    assert "Manifest berakhir · 3 kartu" in text
    assert facts.MAGETAN in text
    assert "30 15" not in text
