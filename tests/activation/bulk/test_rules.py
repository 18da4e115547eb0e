"""A set of rows is decided as its rows would be alone, whatever is wrong with some of them, and nothing that came first is overwritten."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from sifilma.activation.bulk.rules import check_all
from sifilma.activation.issuing import service as issuing
from sifilma.activation.issuing.service import Ready as Checked
from sifilma.activation.issuing.statements import IN_SETS_FROM
from sifilma.activation.schemas import ActivationIn
from sifilma.fsck.run import examine
from sifilma.kernel.errors import Conflict
from sifilma.kernel.many.copying import COPIED_AT_LEAST
from sifilma.regions.sources import place_check
from tests.activation.bulk.sheets import HEADER, sent, sheet, worked
from tests.activation.requests.replacing import approved
from tests.fsck.conftest import installation
from tests.support.world import BANGLI_PLACE, World, done, new_uid

HEAD = "magetan.kepala"
FAR = {"latitude": BANGLI_PLACE["latitude"], "longitude": BANGLI_PLACE["longitude"]}
AWAY = FAR | {"reason": "banjir"}
GOOD = COPIED_AT_LEAST + 2
Row = dict[str, Any]


def lot(world: World) -> tuple[list[Row], list[Row]]:
    """Make rows of two files: everything that can be wrong with one, among more good ones than are copied; and a set with a replacement."""
    ready = world.ready(HEAD, "R", GOOD + 21)
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
    faults: list[Row] = [
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
    bad = [row | fault for row, fault in zip(rest, faults, strict=False)]
    strangers = [rest[0] | {"sam_uid": other.uids[0], "token": other.tokens[other.uids[0]]}, rest[1] | {"sam_uid": new_uid()}]
    swap = at_first[2] | {"token": replaced.tokens[ready.uids[2]], "hardware_number": machine}
    sound = rest[len(faults) :]
    # A card again, and a machine again: each after its first row.
    twice = [sound[-2], sound[-1] | {"hardware_number": sound[-3]["hardware_number"]}]
    return [*sound[IN_SETS_FROM:-1], *again, *bad, *twice, *strangers], [*sound[1:IN_SETS_FROM], swap]


def alone(world: World, rows: list[Row]) -> list[list[tuple[str, str]]]:
    """Activate one after the other; return the errors of each."""
    answers = [world.client(HEAD).post("/activations", row) for row in rows]
    return [[] if answer.status_code == 201 else _told(answer) for answer in answers]


def _told(answer: Any) -> list[tuple[str, str]]:
    if answer.status_code == 404:
        return [("sam_uid", answer.json["detail"])]
    return [(one["field"], one["message"]) for one in answer.json.get("errors") or []] or [("", answer.json["detail"])]


def in_a_file(world: World, rows: list[Row]) -> list[list[tuple[str, str]]]:
    """The same by file."""
    client = world.client(HEAD)
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


def test_a_set_is_decided_as_its_rows_are_alone(world: World) -> None:
    """The longest set has more good rows than are needed to be copied; its requests end as they do by single activations."""
    for one, other in zip(lot(world), lot(world), strict=True):
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
