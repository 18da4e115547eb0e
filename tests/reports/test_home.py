"""The home page: which tasks wait for whom, until they are done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from sifilma.activation.derived import queries as readers
from sifilma.cards import part_queries
from sifilma.cards.derived import queries as cards
from sifilma.demo import facts
from sifilma.handover import form_choices
from sifilma.identity import scope
from sifilma.kernel.actor import Actor, KeyScope, OrganisationKind, Role
from sifilma.kernel.clock import ManualClock
from sifilma.kernel.context import Context
from sifilma.kernel.db import db
from sifilma.kernel.ids import uuid7
from sifilma.kernel.statements import built_once
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.timekeeping.working_days import Calendar
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.reports import card_page, home, reader_locations, tasks_waiting
from sifilma.reports.duties import queries as duties
from sifilma.reports.first_steps import pages as first_steps
from sifilma.reports.statistics import queries as statistics
from sifilma.reports.task_labels import TASKS
from sifilma.reports.way import pages
from sifilma.reports.way.cards import pages as way_cards
from sifilma.search import queries as search
from tests.support.counting import counted
from tests.support.visitor import english
from tests.support.world import World, done, new_uid

WAITING, AWAITED = "Waiting for you", "You are waiting for"


def section(world: World, username: str, heading: str) -> str:
    """Return the words of one section of a user's home page."""
    text = english(world, username).text("/")
    after = text.rpartition(heading)[2] if heading != WAITING else text.split(WAITING)[-1]
    ends = [after.find(other) for other in ("Soon to lapse", AWAITED, "Cards by state") if after.find(other) >= 0]
    return after[: min(ends)] if ends else after


def test_a_request_waits_for_approvers_who_have_not_approved_it(world: World) -> None:
    request = world.submitted()["id"]
    for name in ("penyetuju1", "penyetuju2"):
        assert "Decide on a personalisation request" in section(world, name, WAITING)
    assert "Verify a personalisation request" in section(world, "operator1", WAITING)
    assert "Personalisation request awaits approval" in section(world, "magetan.kepala", AWAITED)
    world.approve("personalisation-requests", request, "penyetuju1")
    assert "Decide on" not in section(world, "penyetuju1", WAITING)
    assert "awaits the second approver" in section(world, "penyetuju1", AWAITED)
    world.approve("personalisation-requests", request, "penyetuju2")
    assert "Decide on" not in section(world, "penyetuju2", WAITING)
    assert "Record results of personalisation" in section(world, "operator1", WAITING)
    assert "Cards are being personalised" in section(world, "magetan.kepala", AWAITED)
    assert "personalis" not in section(world, "bangli.kepala", WAITING).lower()


def test_cards_to_hand_over_and_to_receive_are_listed(world: World) -> None:
    uids = world.personalised(count=2)
    assert "Hand cards over (issue a BAST)" in section(world, "operator1", WAITING)
    assert "2 cards" in section(world, "operator1", WAITING)
    assert "their BAST is not issued yet" in section(world, "magetan.kepala", AWAITED)
    body = {"to": str(world.organisation_of("magetan.kepala")), "cards": uids}
    bast = done(world.client("operator1").post("/handovers", body), 201)
    assert "Receive cards (BAST)" in section(world, "magetan.staf", WAITING)
    assert bast["number"] in section(world, "operator1", AWAITED)
    assert "Hand cards over" not in section(world, "operator1", WAITING)
    done(world.client("magetan.kepala").post(f"/handovers/{bast['id']}/receive"))
    waits = section(world, "magetan.kepala", WAITING)
    assert "Ask for the activation of received cards" in waits
    assert "2 cards" in waits
    world.requested("magetan.kepala", uids)
    assert "Nothing waits for you." in section(world, "magetan.kepala", WAITING)


def test_a_manufacturer_is_told_to_hand_over_the_cards_of_its_buyer(sqlite_world: World) -> None:
    number, uid = sqlite_world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0], "30154B01000000AA"
    request = sqlite_world.batch([(number, "SOFTORB-CRD-1", "0123456789ABCDEF0123456789ABCDEF", uid)])
    sqlite_world.approve("personalisation-requests", request, "penyetuju1")
    results = {"results": [{"sam_uid": uid, "outcome": "personalised"}]}
    done(sqlite_world.client("operator1").post(f"/personalisation-requests/{request}/results", results))
    body = {"to": str(sqlite_world.organisation_of("softorb.kepala")), "cards": [uid]}
    bast = done(sqlite_world.client("operator1").post("/handovers", body), 201)
    done(sqlite_world.client("softorb.kepala").post(f"/handovers/{bast['id']}/receive"))
    line = section(sqlite_world, "softorb.kepala", WAITING)
    assert "Hand cards over" in line
    assert facts.MANDIRI in line


def test_unused_tokens_are_listed_and_announced_before_they_expire(world: World) -> None:
    world.ready()
    assert "Activate cards: tokens are ready" in section(world, "magetan.staf", WAITING)
    assert "Unused tokens lapse" not in section(world, "magetan.staf", "Soon to lapse")
    assert "14 days left" in section(world, "magetan.staf", WAITING)
    world.clock.advance(days=8)
    assert "Unused tokens lapse" in section(world, "magetan.staf", "Soon to lapse")
    assert "Unused tokens lapse" in section(world, "operator1", "Soon to lapse")
    assert "Unused tokens lapse" not in section(world, "bangli.kepala", "Soon to lapse")


def test_activations_are_counted_by_the_days_of_the_readers_zone(world: World) -> None:
    world.active(count=2)
    for name in ("magetan.kepala", "jatim.kepala", "auditor1"):
        text = english(world, name).text("/")
        assert "Activated today 2" in text
        assert "Active cards 2" in text
        assert "2 in the last 30 days, at most 2 a day" in english(world, name).get("/").get_data(as_text=True)
        assert "2 activations from" in english(world, name).get("/").get_data(as_text=True)
    assert "Activated today 0" in english(world, "bangli.kepala").text("/")
    world.clock.advance(hours=14)  # 00.00 WIB of the next day
    assert "Activated today 0" in english(world, "magetan.kepala").text("/")


def test_manifests_and_agreements_are_announced_before_they_end(sqlite_world: World) -> None:
    sqlite_world.active()
    for who in ("mandiri.kepala", "operator1"):  # it ends in two years
        assert "PKS" not in section(sqlite_world, who, "Soon to lapse")
    sqlite_world.clock.advance(days=740)  # December 2028
    for who in ("mandiri.kepala", "operator1"):
        assert "119/PKS-DEMO/" in section(sqlite_world, who, "Soon to lapse")
    assert "PKS" not in section(sqlite_world, "magetan.kepala", "Soon to lapse")
    sqlite_world.clock.advance(days=290)
    assert "Manifest expires" in section(sqlite_world, "magetan.kepala", "Soon to lapse")


def test_open_revocations_and_destructions_are_listed(sqlite_world: World) -> None:
    ready, [activation] = sqlite_world.active()
    operator, head = sqlite_world.client("operator1"), sqlite_world.client("magetan.kepala")
    done(operator.post(f"/manifests/{activation['manifest']['id']}/revoke", {"reason": "Mesin dipindah"}), 202)
    assert "Decide on revoking a manifest" in section(sqlite_world, "penyetuju1", WAITING)
    assert "Revocation of a manifest awaits a decision" in section(sqlite_world, "operator1", AWAITED)
    done(head.post(f"/cards/{ready.uids[0]}/reports", {"condition": "damaged", "note": "Retak"}))
    done(head.post("/destructions", {"cards": ready.uids, "cause": "damaged", "note": "Retak"}), 201)
    assert "Decide on a destruction" in section(sqlite_world, "penyetuju2", WAITING)
    assert "Destruction awaits approval" in section(sqlite_world, "magetan.staf", AWAITED)
    for who, count in (("magetan.kepala", 1), ("jatim.kepala", 0), ("operator1", 0), ("auditor1", 1)):  # only its holder destroys a card
        assert f"Cards to be destroyed {count}" in english(sqlite_world, who).text("/"), who


def test_open_changes_of_accounts_and_invitations_are_listed(sqlite_world: World) -> None:
    admin = english(sqlite_world, "admin1")
    assert admin.send(f"/pengguna/{sqlite_world.users['operator2']}/pusat/usulan", change="disable").status_code == 303
    assert "Decide on the change of an account" in section(sqlite_world, "admin2", WAITING)
    assert "awaits another person" in section(sqlite_world, "admin1", AWAITED)
    head = english(sqlite_world, "magetan.kepala")
    new = {"name": "Umi Contoh", "username": "magetan.baru", "id_kind": "nip", "id_number": "199505052020032015", "roles": ["staff"]}
    assert head.send("/pengguna/baru", **new).status_code == 201
    assert "Invitation not taken up yet" in section(sqlite_world, "magetan.kepala", AWAITED)


@pytest.mark.parametrize("account", facts.ACCOUNTS, ids=lambda account: account.username)
def test_the_home_page_needs_few_statements_for_every_account(sqlite_world: World, account: facts.Account) -> None:
    visitor = english(sqlite_world, account.username)
    with sqlite_world.app.app_context(), counted(db.engine) as found:
        assert WAITING in visitor.text("/")
    assert len(found.statements) <= 12, found.statements


def test_the_maker_is_asked_for_the_pcid_of_a_unit_and_reminded(sqlite_world: World) -> None:
    world = sqlite_world
    known, lacking = world.units("magetan.kepala", 1, "LEN-CRD-1", "R"), world.units("magetan.kepala", 2, "LEN-CRD-1", "R", pcid=False)
    assert "Supply the PCID of units of your models" in section(world, "len.kepala", WAITING)
    assert "Supply the PCID" not in section(world, "softorb.kepala", WAITING)
    assert "Units await their PCID from the maker" in english(world, "magetan.kepala").text("/")
    listed = english(world, "len.kepala").text("/unit", pcid="missing")
    assert [number in listed for number in (*lacking, *known)] == [True, True, False]
    for number in lacking:
        unit = done(world.client("len.kepala").get("/units", hardware_number=number))["items"][0]["id"]
        done(world.client("len.kepala").post(f"/units/{unit}/pcid", {"pcid": new_uid() * 2}))
    assert "Nothing waits for you." in section(world, "len.kepala", WAITING)


KEPT: list[tuple[built_once.Build, Any]] = [
    *((home.lines_query, (which, False, "")) for which in (tasks_waiting.waiting, tasks_waiting.awaited, home.lapsing)),
    *((home.lines_query, (tasks_waiting.waiting, late, holder)) for late in (False, True) for holder in ("saya", "bebas", "dipegang")),
    (home.lines_query, (tasks_waiting.waiting, True, "")),
    (pages.mine_query, frozenset(TASKS)),
    (pages.next_query, frozenset(TASKS)),
    (duties.tasks_query, frozenset(duties.WORK)),
    (readers._by_day_query, (7, False)),
    (readers._by_day_query, (7, True)),
    (readers._lag_query, None),
    (readers._standing_query, "active"),
    (cards._by_state_query, None),
    (cards._by_model_query, "active"),
    (cards._held_query, ("damaged", "locked")),
    (first_steps._taken_query, None),
    (statistics._times_query, (date(2025, 12, 1), Calendar((date(2026, 1, 1),)))),
    (search.identified_query, None),
    (search.few_query, None),
    (search.many_query, (frozenset(search.Kind), search.LOOKED)),
    (search.many_query, (frozenset({search.Kind.CARD, search.Kind.DESTRUCTION}), 0)),
    (part_queries.named_query, card_page.NAMING),
    *(
        (query, reader_locations.PlaceFilter(state, kind=kind, region=region))
        for query in (reader_locations._counts_query, reader_locations._extent_query, reader_locations._own_cells_query)
        for state, kind, region in (("", "", ""), ("all", "institution", "??"), ("", "", "??.??"))
    ),
    (reader_locations._cells_query, (reader_locations.PlaceFilter(), 17, 12)),
    *((query, None) for query in (card_page.papers_query, way_cards.handed_query, way_cards.asked_query, way_cards.standing_query)),
    (form_choices.returnable_query, (100, False)),
    (form_choices.returnable_query, (100, True)),
]
DIALECTS = [create_engine(url).dialect for url in ("postgresql+psycopg://", "sqlite://")]
STAND_INS = re.compile(r"region \d|0{8}-?0{4}-?(?!0{4})[0-9a-f]{4}-?0{4}|'3\d\d\d-")
"""What stands for ids, regions and moments while a statement is built."""


def actors() -> Iterator[Actor]:
    """Yield an actor of each kind, in each of its roles and in all of them, and a program of each kind; each with ids of their own.

    Of two kinds also some who are limited to one outlet, and to several.
    """
    outside = frozenset({Role.HEAD, Role.STAFF})
    for kind in OrganisationKind:
        own = frozenset(Role) - outside if kind is OrganisationKind.DIRECTORATE else outside
        ids = [uuid7() for _ in range(3)]
        place: dict[str, Any] = {"organisation_kind": kind, "region_code": "35" if kind is OrganisationKind.PROVINCE_OFFICE else "35.20"}
        for roles in (own, *(frozenset({role}) for role in sorted(own))):
            yield Actor(organisation_id=ids[0], user_id=ids[1], person_id=ids[2], roles=roles, **place)
        if kind in (OrganisationKind.INSTITUTION, OrganisationKind.PROVINCE_OFFICE):
            for number in (1, 3):
                limits, staff = frozenset(uuid7() for _ in range(number)), frozenset({Role.STAFF})
                yield Actor(organisation_id=ids[0], user_id=ids[1], person_id=ids[2], roles=staff, outlets=limits, **place)
        yield Actor(organisation_id=ids[0], api_key_id=uuid7(), scopes=frozenset(KeyScope), **place)


def test_lists_that_are_kept_ask_for_exactly_what_lists_built_anew_ask_for() -> None:
    clock = ManualClock(datetime(2026, 11, 23, 3, 0, tzinfo=UTC))
    asked, made = 0, list[tuple[Actor, Any, Prepared | None]]()
    # SQLAlchemy marks parts when they are compiled: what was kept before, or made of a part that is kept by its values, would differ.
    built_once.forget()
    scope._below.cache_clear()
    for actor in actors():
        ctx = Context(UnitOfWork(sessionmaker()), clock, actor)
        for build, variant in KEPT if len(actor.roles) > 1 else KEPT[:3]:  # what is asked besides is made of the same selects
            kept, anew = built_once.find(actor, build, variant), build(ctx, variant)
            assert kept is not None, (actor, build, variant)
            assert (kept.query is None) == (anew is None), (actor, build, variant)
            if kept.query is not None and anew is not None:
                said, meant = kept.query._generate_cache_key(), built_once.marked_query(anew)._generate_cache_key()
                assert said is not None
                assert meant is not None
                assert said.key == meant.key
                with built_once.executing(ctx):
                    assert [one.effective_value for one in said.bindparams] == [one.effective_value for one in meant.bindparams]
                made.append((actor, anew, kept.prepared))
                asked += 1
    assert asked > 80
    for actor, anew, prepared in made:  # only now: SQLAlchemy marks parts when they are compiled
        if prepared is None:
            assert actor.outlets is not None, str(anew)
            continue
        assert actor.outlets is None or "outlet" not in str(anew)
        for dialect in DIALECTS:
            found = prepared.compiled(dialect)
            assert not STAND_INS.search(f"{found.text} {found.literals}")
            assert "POSTCOMPILE" not in found.text
