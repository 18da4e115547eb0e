"""Tokens of many cards are made by the worker: each once, whatever ends a worker, and only while the request is approved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sifilma.activation.tokens import service, tasks
from sifilma.kernel import triggers
from sifilma.kernel.context import Context
from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.fsck_findings import fsck_findings
from tests.support.visitor import Visitor
from tests.support.world import World, done, letter

HEAD = "magetan.kepala"
PART = 4
TOKENS = "SELECT COUNT(*), COUNT(DISTINCT card_id), COUNT(DISTINCT status_index) FROM token"
ISSUE = "SELECT made_to, passed_over, ended_at IS NOT NULL FROM token_issue"


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "AT_ONCE", PART)


def approved(world: World, count: int) -> tuple[str, list[str]]:
    """Return an approved request of so many cards, and their UIDs."""
    uids = world.received(HEAD, "R", count)
    request = world.requested(HEAD, uids)["id"]
    world.approve("activation-requests", request, "penyetuju1")
    return request, uids


def work(world: World, seconds: float = 5.0) -> int:
    @contextmanager
    def contexts() -> Iterator[Context]:
        with world.context() as ctx:
            yield ctx

    return tasks.issue(contexts, world.settings, world.hsm, seconds)


def one_part(world: World) -> None:
    """Let a worker make one part alone."""
    with world.context() as ctx:
        part = tasks._next(ctx, None)
        assert part is not None
        tasks._serve(ctx, world.settings, world.hsm, part)


def test_the_worker_makes_the_tokens_and_the_page_shows_how_far_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    request, uids = approved(world, 10)
    head = world.client(HEAD)
    seen = done(head.get(f"/activation-requests/{request}"))
    assert (seen["state"], seen["tokens"], seen["tokens_to_come"]) == ("approved", [], 10)
    one_part(world)
    page = Visitor(world, HEAD).get(f"/aktivasi/{request}").get_data(as_text=True)
    assert '<progress max="10" value="4"' in page
    late = head.post(f"/activation-requests/{request}/tokens/{uids[9]}/reissue")
    assert (late.status_code, late.json["type"]) == (409, "urn:sifilma:problem:tokens-being-made")
    assert fsck_findings(world) == []

    def crash(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(service, "store", crash)
        with pytest.raises(RuntimeError):
            work(world)
    assert [tuple(row) for row in world.sql(TOKENS)] == [(4, 4, 4)]
    assert (work(world), work(world)) == (6, 0)
    assert [tuple(row) for row in world.sql(TOKENS)] == [(10, 10, 10)]
    shown = done(head.post(f"/activation-requests/{request}/tokens"))["tokens"]
    assert [one["sam_uid"] for one in shown] == uids
    assert done(head.get(f"/activation-requests/{request}"))["tokens_to_come"] == 0
    assert "<progress" not in Visitor(world, HEAD).get(f"/aktivasi/{request}").get_data(as_text=True)
    assert fsck_findings(world) == []


def test_a_card_that_is_lost_meanwhile_gets_no_token_and_a_cancelled_request_no_further_ones(world: World) -> None:
    request, uids = approved(world, 6)
    done(world.client(HEAD).post(f"/cards/{uids[1]}/reports", {"condition": "damaged", "note": "patah dua"}))
    one_part(world)
    assert [tuple(map(int, row)) for row in world.sql(ISSUE)] == [(4, 1, 0)]
    done(world.client(HEAD).post(f"/activation-requests/{request}/cancel", {"note": "tidak jadi"}))
    assert work(world) == 0
    assert [tuple(map(int, row)) for row in world.sql(ISSUE)] == [(4, 1, 1)]
    assert world.sql("SELECT COUNT(*) FROM token WHERE state = 'cancelled'")[0][0] == 3
    assert fsck_findings(world) == []


def walk(world: World, count: int) -> list[int]:
    """Take cards from the results to their tokens; return the number of statements of each act."""
    head, operator, sent = world.client(HEAD), world.client("operator1"), []
    with world.app.app_context():
        engine = db.engine

    def act(call: Any, status: int = 200) -> Any:
        with counted(engine) as found:
            made = done(call(), status)
        sent.append(len(found.statements))
        return made

    asked = world.submitted(HEAD, "R", count)["id"]
    world.approve("personalisation-requests", asked, "penyetuju1")
    uids = [f"30154B{count:02X}{number:08X}" for number in range(count)]
    rows = "sam_uid,outcome\n" + "".join(f"{uid},personalised\n" for uid in uids)
    path = f"/personalisation-requests/{asked}/results"
    act(lambda: operator.call("POST", path, data=rows.encode(), content_type="text/csv"))
    bast = act(lambda: operator.post("/handovers", {"to": str(world.organisation_of(HEAD)), "cards": uids}), 201)["id"]
    act(lambda: head.post(f"/handovers/{bast}/receive"))
    stated = world.letter() | {"kind": "new", "machines": count, "cards": uids}
    made = act(lambda: head.send("/activation-requests", stated, letter=letter()), 201)["id"]
    digest = act(lambda: head.post(f"/activation-requests/{made}/submit"))["digest"]
    act(lambda: world.client("penyetuju1").post(f"/activation-requests/{made}/approve", {"digest": digest}))
    act(lambda: head.post(f"/activation-requests/{made}/cancel", {"note": "tidak jadi"}))
    return sent


def test_no_act_on_many_cards_sends_a_statement_for_each(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 500)
    few, many = walk(world, 8), walk(world, 120)
    assert [more for less, more in zip(few, many, strict=True) if more > less + 2] == [], (few, many)


def test_no_trigger_counts_rows_at_every_row() -> None:
    counting = {rule.table for rule in triggers.rules() if "COUNT(" in rule.when}
    assert not counting & {"token", "card", "activation", "manifest", "personalisation_result", "activation_request_card", "handover_card"}


def test_a_condition_asks_the_database_only_if_its_plain_part_holds() -> None:
    rule = triggers.Rule("n", "t", "UPDATE", "OLD.a <> NEW.a AND NEW.b = 'x OR (y' AND NOT EXISTS (SELECT 1 FROM u WHERE c AND d)", "no")
    body = triggers.render(rule, "postgresql")[0]
    assert "IF OLD.a <> NEW.a AND NEW.b = 'x OR (y' THEN IF NOT EXISTS (SELECT 1 FROM u WHERE c AND d) THEN RAISE" in body
    whole = triggers.Rule("n", "t", "UPDATE", "OLD.a OR EXISTS (SELECT 1) AND NEW.b", "no")
    assert "IF OLD.a OR EXISTS (SELECT 1) AND NEW.b THEN RAISE" in triggers.render(whole, "postgresql")[0]
