"""A set of rows is decided as its rows would be alone, whatever is wrong with some of them, and nothing that came first is overwritten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from sifilma.activation.bulk.rules import check_all
from sifilma.activation.issuing import service as issuing
from sifilma.activation.issuing import statements
from sifilma.activation.issuing.service import Ready as Checked
from sifilma.activation.issuing.statements import IN_SETS_FROM
from sifilma.activation.schemas import ActivationIn
from sifilma.fsck.run import examine
from sifilma.identity.models import Organisation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict
from sifilma.kernel.many import copying
from sifilma.kernel.many.copying import COPIED_AT_LEAST
from sifilma.oversight.service import register_agreement
from sifilma.regions.sources import place_check
from tests.activation.bulk.sheets import HEADER, sent, sheet, worked
from tests.activation.requests.replacing import approved
from tests.cards.outlets.test_limits import limited
from tests.cards.outlets.test_service import STAFF, unit_of
from tests.fsck.conftest import installation
from tests.support.simultaneous_calls import start_in_background
from tests.support.world import BANGLI_PLACE, World, done, new_uid

HEAD = "magetan.kepala"
FAR = {"latitude": BANGLI_PLACE["latitude"], "longitude": BANGLI_PLACE["longitude"]}
AWAY = FAR | {"reason": "banjir"}
GOOD = COPIED_AT_LEAST + 2
Row = dict[str, Any]
WRONG_KEYS = set[str]()
"""UIDs of cards whose key is not the one with which they were personalised."""


@pytest.fixture
def wrong_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    own = issuing._require_key

    def compare(do: Any, row: Any, open_key: bytes) -> str:
        return own(do, row._replace(kcv="000000") if row.uid in WRONG_KEYS else row, open_key)

    monkeypatch.setattr(issuing, "_require_key", compare)


def lot(world: World, expired: Row) -> tuple[list[Row], list[Row]]:
    """Make rows of two files: everything that can be wrong with one, among more good ones than are copied; and a set with a replacement."""
    ready = world.ready(HEAD, "R", GOOD + 25)
    client, good = world.client(HEAD), [world.activation(ready, uid) for uid in ready.uids]
    at_first, rest = good[:4], good[4:]
    _, misplaced, *_ = (done(client.post("/activations", row), 201) for row in (at_first[0], at_first[1] | AWAY, *at_first[2:]))
    done(world.client("operator1").post(f"/activations/{misplaced['id']}/review", {"decision": "rejected", "note": "tidak sesuai"}))
    [found] = [one for one in done(client.get("/place-suspensions"))["items"] if one["state"] == "proposed"]
    done(world.client("penyetuju1").post(f"/place-suspensions/{found['id']}/decision", {"decision": "suspend", "note": "di Bali"}))
    _, tokens = world.tokens(HEAD, ready.uids[:2], "relocation", "R")
    again = [row | {"token": tokens[row["sam_uid"]]} for row in at_first[:2]]
    machine = world.units(HEAD, 1, "LEN-CRD-1", "R")[0]
    replaced = approved(world, (ready.uids[2], machine))
    other = world.ready("bangli.kepala", "R", 1)
    broken, retired = world.units(HEAD, 2, "LEN-CRD-1", "R")
    for number, act in ((broken, "break"), (retired, "retire")):
        done(client.post(f"/units/{unit_of(client, number)['id']}/{act}", {"reason": "layar retak"}))
    for uid, condition in ((rest[0]["sam_uid"], "damaged"), (rest[1]["sam_uid"], "lost")):
        done(client.post(f"/cards/{uid}/reports", {"condition": condition, "note": "jatuh dari meja"}))
    WRONG_KEYS.add(rest[2]["sam_uid"])
    unfit, rest = rest[:3], rest[3:]
    faults: list[Row] = [
        {"hardware_number": broken},
        {"hardware_number": retired},
        {"token": "AAAAAAAAAA"},
        {"token": rest[-1]["token"]},
        {"hardware_number": "TIDAK-ADA-1"},
        {"hardware_number": world.units(HEAD, 1)[0]},
        {"hardware_number": world.units(HEAD, 1, "LEN-CRD-1", "R", pcid=False)[0]},
        {"hardware_number": at_first[3]["hardware_number"]},
        FAR,
        AWAY,
        {"latitude": 0, "longitude": 0},
        {"region_code": "35.20.99.1001"},
        {"region_code": "35.20"},
        {"region_code": "35.20.06.10142"},  # a village's code, and more
        {"outlet": "TIDAK-ADA"} if "outlet" in HEADER else {"address": "x"},
    ]
    bad = [*(row | fault for row, fault in zip(rest, faults, strict=False)), *unfit, expired]
    strangers = [rest[0] | {"sam_uid": other.uids[0], "token": other.tokens[other.uids[0]]}, rest[1] | {"sam_uid": new_uid()}]
    swap = at_first[2] | {"token": replaced.tokens[ready.uids[2]], "hardware_number": machine}
    sound = rest[len(faults) :]
    # A card again, and a machine again: each after its first row.
    twice = [sound[-2], sound[-1] | {"hardware_number": sound[-3]["hardware_number"]}]
    apart = [*again, *bad, *strangers]
    mixed = [one for pair in zip(sound[IN_SETS_FROM:-1], apart, strict=False) for one in pair]  # each faulty row between good ones
    return [*mixed, *sound[IN_SETS_FROM + len(apart) : -1], *apart[len(sound[IN_SETS_FROM:-1]) :], *twice], [*sound[1:IN_SETS_FROM], swap]


def alone(world: World, rows: list[Row], who: str = HEAD) -> list[list[tuple[str, str]]]:
    """Activate one after the other; return the errors of each."""
    answers = [world.client(who).post("/activations", row) for row in rows]
    return [[] if answer.status_code == 201 else _told(answer) for answer in answers]


def _told(answer: Any) -> list[tuple[str, str]]:
    if answer.status_code == 404:
        return [("sam_uid", answer.json["detail"])]
    return [(one["field"], one["message"]) for one in answer.json.get("errors") or []] or [("", answer.json["detail"])]


def in_a_file(world: World, rows: list[Row], who: str = HEAD) -> list[list[tuple[str, str]]]:
    """The same by file."""
    client = world.client(who)
    job = sent(client, sheet([[row.get(name, "") for name in HEADER] for row in rows]))
    worked(world, 60)
    assert done(client.get(f"/jobs/{job['id']}"))["done"] == len(rows)
    items = done(client.get(f"/jobs/{job['id']}/errors", limit=100))["items"]
    return [[(one["field"] or "", one["message"]) for one in items if one["row"] == number] for number in range(2, len(rows) + 2)]


def facts(world: World, rows: list[Row]) -> list[Any]:
    """Return what is stored about each row's card, and of the steps of everything that belongs to it."""
    return [_facts(partial(world.sql, uid=row["sam_uid"], hardware=row["hardware_number"])) for row in rows]


def _facts(sql: Any) -> Any:
    card = "(SELECT id FROM card WHERE uid = :uid)"
    parts = {
        "card c LEFT JOIN unit u ON u.id = c.unit_id WHERE c.id": "c.state, c.seq, c.revision, u.hardware_number = :hardware, u.state",
        "token WHERE card_id": "state, tries, revision",
        "manifest WHERE card_id": "seq, epoch, state, revision, previous_hash IS NULL",
        "activation WHERE card_id": "place_outcome, review_state, source, reason",
        "token t JOIN activation_request r ON r.id = activation_request_id WHERE t.card_id": "r.state, r.revision, r.machines - r.redeemed",
    }
    owned = [f"SELECT id FROM {name} WHERE card_id = {card}" for name in ("token", "manifest", "place_suspension")]
    steps = [f"SELECT from_state, to_state FROM history WHERE object_id IN ({ids}) ORDER BY id" for ids in (card, *owned)]
    return [sorted(map(repr, sql(f"SELECT {what} FROM {where} = {card}"))) for where, what in parts.items()], [sql(one) for one in steps]


@pytest.mark.usefixtures("wrong_keys")
def test_a_set_is_decided_as_its_rows_are_alone(world: World) -> None:
    """The longest set has more good rows than are needed to be copied; its requests end as they do by single activations."""
    late = world.ready(HEAD, "R", 2)
    world.clock.advance(days=world.settings.token_days + 1)
    lots = [lot(world, world.activation(late, uid)) for uid in late.uids]
    for one, other in zip(*lots, strict=True):
        told, by_file = alone(world, one), in_a_file(world, other)
        assert by_file == told
        assert told.count([]) >= min(GOOD, len(one))
        assert facts(world, other) == facts(world, one)
    assert [str(finding) for finding in examine(installation(world)).findings] == []


@pytest.mark.parametrize("count", [1, COPIED_AT_LEAST])
def test_what_happened_between_check_and_storing_refuses_the_set_and_leaves_nothing(postgresql_world: World, count: int) -> None:
    world = postgresql_world
    assert count == 1 or count >= IN_SETS_FROM
    ready = world.ready(HEAD, "R", count)
    given = [ActivationIn.model_validate(world.activation(ready, uid)) for uid in ready.uids]
    with world.acting(HEAD) as ctx:
        checked = [
            one for one in check_all(ctx, world.hsm, place_check(world.settings.home), given, lambda: True) if isinstance(one, Checked)
        ]
        signed = issuing.sign(ctx, world.settings, world.hsm, checked)
        pairs = [(one, its) for one, its in zip(checked, signed, strict=True) if its is not None]
        assert len(pairs) == count
        done(world.client(HEAD).post(f"/cards/{ready.uids[-1]}/reports", {"condition": "damaged", "note": "jatuh dari meja"}))
        ctx.uow.begin_write()
        with pytest.raises(Conflict) as refused:
            issuing.issue(ctx, pairs)
        ctx.uow.rollback()
    assert refused.value.type == "token-used"
    assert world.sql(
        "SELECT (SELECT count(*) FROM activation), (SELECT count(*) FROM manifest), (SELECT sum(redeemed) FROM activation_request)"
    ) == [(0, 0, 0)]


def test_a_file_of_an_account_limited_to_outlets_is_decided_as_its_rows_are_alone(world: World) -> None:
    ready, _, _ = limited(world)
    rows = [world.activation(ready, uid) for uid in ready.uids]
    elsewhere = [rows[0] | {"hardware_number": rows[1]["hardware_number"]}, rows[1], rows[1] | {"token": "AAAAAAAAAA"}]
    told = alone(world, elsewhere, STAFF)
    assert in_a_file(world, [*elsewhere, rows[0]], STAFF) == [*told, []]
    assert [field for [(field, _)] in told] == ["hardware_number", "sam_uid", "sam_uid"]
    assert world.sql("SELECT sum(tries) FROM token") == [(0,)]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_set_asks_for_the_agreement_of_the_buyer_as_a_single_act_does(postgresql_world: World, goes_on: bool) -> None:
    """Nothing but the agreement has ended, or not even that: tokens and cards are as they should be. A maker has no agreement."""
    world = postgresql_world
    world.clock.set(datetime(2028, 12, 28, 3, tzinfo=UTC))
    ready = [world.institution_ready() for _ in range(1 + IN_SETS_FROM)]
    if goes_on:
        with world.context() as ctx:
            buyer = ctx.session.get_one(Organisation, world.organisation_of("mandiri.kepala"))
            register_agreement(ctx, buyer, "PKS-2", date(2029, 1, 1), date(2031, 12, 31))
    world.clock.set(datetime(2029, 1, 2, 3, tzinfo=UTC))
    first, *rest = [world.activation(one, one.uids[0]) for one in ready]
    told = alone(world, [first], "mandiri.kepala")
    assert in_a_file(world, rest, "mandiri.kepala") == told * len(rest)
    ended = "The institution has no agreement (PKS) that is valid today."
    assert told == ([[]] if goes_on else [[("", ended)]])
    assert world.sql("SELECT count(*) FROM activation") == [(len(ready) if goes_on else 0,)]
    assert [str(finding) for finding in examine(installation(world)).findings] == []


Pairs = list[tuple[Checked, issuing.Signed]]


def signed_set(ctx: Context, world: World, rows: Sequence[Row]) -> Pairs:
    """Check and sign rows which are all in order, up to the writing transaction."""
    given = [ActivationIn.model_validate(row) for row in rows]
    found = check_all(ctx, world.hsm, place_check(world.settings.home), given, lambda: True)
    checked = [one for one in found if isinstance(one, Checked)]
    signed = issuing.sign(ctx, world.settings, world.hsm, checked)
    pairs = [(one, its) for one, its in zip(checked, signed, strict=True) if its is not None]
    assert len(pairs) == len(rows)
    return pairs


@contextmanager
def stored(world: World, rows: Sequence[Row]) -> Iterator[Context]:
    """Store the rows in a transaction that stays open."""
    with world.acting(HEAD) as ctx:
        pairs = signed_set(ctx, world, rows)
        ctx.uow.begin_write()
        issuing.issue(ctx, pairs)
        yield ctx


def store(world: World, rows: Sequence[Row]) -> str:
    """Store the rows and commit. Return what became of them."""
    try:
        with stored(world, rows) as ctx:
            ctx.uow.commit()
            return "stored"
    except IntegrityError:
        return "refused"


def crossed(world: World, third: Row, *sets: Sequence[Row]) -> list[str]:
    """Store two sets that wait for what a third activation holds until both do. Return what became of them."""
    with stored(world, [third]) as ctx:
        waiting = [start_in_background(partial(store, world, rows)) for rows in sets]
        ctx.uow.rollback()
    return sorted(ended() for ended in waiting)


GUARDED = "token, card, unit and organisation do not belong together"
RESERVED = "none without its activation and its reserved status index"


def planted(world: World, spare: Any) -> dict[str, tuple[str, Row, str]]:
    """Return by name the table, the columns of one row that are wrong, and the words of the guard that holds them."""
    ids = {table: world.sql(f"SELECT id FROM {table} ORDER BY id DESC")[0][0] for table in ("card", "unit", "token", "activation_request")}
    office = world.organisations["Dinas Kependudukan dan Pencatatan Sipil Kabupaten Bangli"]
    broken = world.units(HEAD, 1, "LEN-CRD-1", "R")[0]
    unit = unit_of(world.client(HEAD), broken)["id"]
    done(world.client(HEAD).post(f"/units/{unit}/break", {"reason": "layar retak"}))
    other = unit_of(world.client(HEAD), world.units(HEAD, 1)[0])["id"]
    return {
        "another's card": ("activation", {"card_id": ids["card"]}, GUARDED),
        "another's unit": ("activation", {"unit_id": ids["unit"]}, GUARDED),
        "a broken unit": ("activation", {"unit_id": UUID(unit)}, GUARDED),
        "a unit of another function": ("activation", {"unit_id": UUID(other)}, GUARDED),
        "an open token": ("activation", {"token_id": ids["token"]}, GUARDED),
        "another request": ("activation", {"activation_request_id": ids["activation_request"]}, GUARDED),
        "another organisation": ("activation", {"organisation_id": office}, GUARDED),
        "carried": ("activation", {"source": "carried"}, "carried one repeats"),
        "another index": ("manifest", {"status_index": 9_000}, RESERVED),
        "another card's manifest": ("manifest", {"card_id": ids["card"]}, RESERVED),
        "another organisation's manifest": ("manifest", {"organisation_id": office}, RESERVED),
        "another manifest": ("activation", {"manifest_id": uuid4()}, RESERVED),
    }


@pytest.mark.parametrize("count", [IN_SETS_FROM, COPIED_AT_LEAST])
def test_one_row_that_breaks_a_guard_refuses_its_set(postgresql_world: World, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The rows go by INSERT of several rows, and by COPY: no trigger is passed by."""
    world = postgresql_world
    ready = world.ready(HEAD, "R", count)
    faults = planted(world, world.ready("bangli.kepala", "R", 1))
    passed = []
    with world.acting(HEAD) as ctx:
        pairs = signed_set(ctx, world, [world.activation(ready, uid) for uid in ready.uids])
        for name, (table, wrong, words) in faults.items():

            def insert(session: Any, into: Any, rows: Any, table: str = table, wrong: Row = wrong) -> None:
                changed = [row | wrong if into.name == table and n == count // 2 else row for n, row in enumerate(rows)]
                copying.insert_all(session, into, changed)

            monkeypatch.setattr(statements, "insert_all", insert)
            ctx.uow.begin_write()
            try:
                issuing.issue(ctx, pairs)
                passed.append(name)
            except IntegrityError as refused:
                if words not in str(refused):
                    passed.append(f"{name}: {refused.orig}")
            ctx.uow.rollback()
    assert passed == []
    assert world.sql("SELECT (SELECT count(*) FROM activation), (SELECT count(*) FROM manifest)") == [(0, 0)]


def test_two_sets_that_name_the_same_machines_crosswise_do_not_lock_each_other(postgresql_world: World) -> None:
    """A third activation holds the machine in the middle until both wait, so that each of them holds what the other one needs next."""
    world = postgresql_world
    one, other, third = (world.ready(HEAD, "R", count) for count in (IN_SETS_FROM, IN_SETS_FROM, 1))
    machines = [one.hardware[uid] for uid in one.uids]
    crosswise = zip(other.uids, reversed(machines), strict=True)
    sets = [
        [world.activation(one, uid) for uid in one.uids],
        [world.activation(other, uid) | {"hardware_number": number} for uid, number in crosswise],
    ]

    between = world.activation(third, third.uids[0]) | {"hardware_number": machines[2]}
    assert crossed(world, between, *sets) == ["refused", "stored"]


def test_two_sets_whose_manifests_end_in_the_same_status_lists_crosswise_do_not_lock_each_other(postgresql_world: World) -> None:
    world = postgresql_world
    world.configure(status_list_size=8)
    ready = world.ready(HEAD, "R", 24)
    assert store(world, [world.activation(ready, uid) for uid in ready.uids]) == "stored"
    lists: dict[int, list[str]] = {}
    for number, uid in world.sql("SELECT m.status_list, c.uid FROM manifest m JOIN card c ON c.id = m.card_id ORDER BY 1, 2"):
        lists.setdefault(number, []).append(uid)
    first, middle, last = lists.values()
    sets = [[*first[:2], *middle[:2], *last[:2]], [*last[2:4], *middle[2:4], *first[2:4]], [middle[4]]]
    tokens = [world.tokens(HEAD, uids, "relocation", "R")[1] for uids in sets]
    rows = [[world.activation(ready, uid) | {"token": open_[uid]} for uid in uids] for uids, open_ in zip(sets, tokens, strict=True)]
    assert crossed(world, rows[2][0], *rows[:2]) == ["stored", "stored"]
    assert [str(finding) for finding in examine(installation(world)).findings] == []
