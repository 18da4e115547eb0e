"""Approval of several requests together: what the summary shows, and the result of each request."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest

from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.visitor import Visitor
from tests.support.world import World, done

KINDS = {"/personalisasi": "personalisation-requests", "/aktivasi": "activation-requests"}


def submitted(world: World, path: str, function: str = "R") -> Any:
    """Submit one request of a kind."""
    if path == "/personalisasi":
        return world.submitted(function=function)
    return world.requested("magetan.kepala", world.received(function=function))


def shown(visitor: Visitor, path: str, *requests: Any) -> list[str]:
    """Return the values that the summary page would send: each request with the digest that was shown."""
    page = visitor.get(f"{path}/sekaligus", pilih=[one["id"] for one in requests])
    assert page.status_code == 200
    return re.findall(r'name="request" value="([^"]+)"', page.get_data(as_text=True))


def state(world: World, path: str, request: Any) -> str:
    return str(done(world.client("penyetuju1").get(f"/{KINDS[path]}/{request['id']}"))["state"])


@pytest.mark.parametrize("path", KINDS)
def test_every_shown_request_is_approved_and_reported(world: World, path: str) -> None:
    single, double = submitted(world, path), submitted(world, path, "RW")
    visitor = Visitor(world, "penyetuju1")
    seen = shown(visitor, path, single, double)
    assert seen == [f"{one['id']}:{one['digest']}" for one in (single, double)]
    assert "Satu-satunya yang diperlukan" in visitor.seen
    assert "Yang pertama dari 2" in visitor.seen
    assert visitor.send(f"{path}/sekaligus", request=seen, note="sesuai surat").status_code == 200
    assert "Disetujui." in visitor.seen
    assert "Pemberi persetujuan lain memutuskan." in visitor.seen
    assert [state(world, path, one) for one in (single, double)] == ["approved", "submitted"]
    other = Visitor(world, "penyetuju2")
    seen = shown(other, path, single, double)
    assert "Yang terakhir dari 2" in other.seen
    assert len(seen) == 1
    assert other.send(f"{path}/sekaligus", request=seen).status_code == 200
    assert state(world, path, double) == "approved"
    table = KINDS[path].replace("-requests", "")
    acts = world.sql(f"SELECT COUNT(DISTINCT act_id), MAX(note) FROM {table}_approval")
    assert len(acts) == 1
    assert acts[0][1] == "sesuai surat"


@pytest.mark.parametrize("path", KINDS)
def test_a_request_that_changed_meanwhile_is_refused_and_the_others_are_approved(world: World, path: str) -> None:
    changed, kept = submitted(world, path), submitted(world, path)
    visitor = Visitor(world, "penyetuju1")
    seen = shown(visitor, path, changed, kept)
    stale = f"{changed['id']}:{'0' * 64}"
    visitor.send(f"{path}/sekaligus", request=[stale, seen[1], f"{uuid4()}:{'0' * 64}"])
    assert "Tidak disetujui: Isi yang Anda lihat sudah berbeda" in visitor.seen
    assert [state(world, path, one) for one in (changed, kept)] == ["submitted", "approved"]
    visitor.send(f"{path}/sekaligus", request=seen)  # sent again: an approved request is not approved twice
    assert [state(world, path, one) for one in (changed, kept)] == ["approved", "approved"]
    table = KINDS[path].replace("-requests", "")
    assert world.sql(f"SELECT COUNT(*) FROM {table}_approval") == [(2,)]


def test_a_request_this_person_cannot_approve_is_shown_with_the_reason(sqlite_world: World) -> None:
    once, draft = sqlite_world.submitted(), sqlite_world.submitted()
    sqlite_world.approve("personalisation-requests", once["id"], "penyetuju1")
    done(sqlite_world.client("operator1").post(f"/personalisation-requests/{draft['id']}/return", {"note": "Surat tidak terbaca."}))
    visitor = Visitor(sqlite_world, "penyetuju1")
    assert shown(visitor, "/personalisasi", once, draft) == []
    assert "Anda sudah menyetujui ini" in visitor.seen
    assert "tidak menunggu keputusan" in visitor.seen
    assert "Setujui 0" not in visitor.seen


def test_a_missing_agreement_and_moved_cards_are_reported_before_the_approval(sqlite_world: World) -> None:
    numbers = sqlite_world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)
    batch = sqlite_world.batch([(numbers[0], "SOFTORB-CRD-1", "0A" * 16, "")])
    moved = submitted(sqlite_world, "/aktivasi")
    card = moved["cards"][0]
    done(sqlite_world.client("magetan.kepala").post(f"/cards/{card}/reports", {"condition": "damaged", "note": "patah"}))
    sqlite_world.clock.advance(days=1000)  # after the end of the agreement
    visitor = Visitor(sqlite_world, "penyetuju1")
    assert shown(visitor, "/personalisasi", {"id": batch}) == []
    assert "tidak memiliki perjanjian" in visitor.seen
    assert shown(visitor, "/aktivasi", moved) == []
    assert card in visitor.seen


def test_a_confirmation_without_a_fresh_code_asks_for_it_and_keeps_the_choice(sqlite_world: World) -> None:
    one = sqlite_world.submitted(function="R")
    visitor = Visitor(sqlite_world, "penyetuju1", fresh=False)
    seen = shown(visitor, "/personalisasi", one)
    assert "Kode sekali pakai" in visitor.seen
    refused = visitor.send("/personalisasi/sekaligus", request=seen)
    assert refused.status_code == 403
    assert seen[0] in refused.get_data(as_text=True)
    assert state(sqlite_world, "/personalisasi", one) == "submitted"
    visitor.send("/personalisasi/sekaligus", request=seen, otp_code=sqlite_world.code("penyetuju1"))
    assert state(sqlite_world, "/personalisasi", one) == "approved"


@pytest.mark.parametrize("sent", [[], ["ngawur"], [f"{uuid4()}:{'0' * 64}"] * 51])
def test_empty_oversized_and_malformed_batches_are_refused(sqlite_world: World, sent: list[str]) -> None:
    assert Visitor(sqlite_world, "penyetuju1").send("/personalisasi/sekaligus", request=sent).status_code == 422


def test_the_summary_needs_as_many_statements_for_one_request_as_for_many(sqlite_world: World) -> None:
    many = [sqlite_world.submitted(function="R") for _ in range(6)]
    visitor = Visitor(sqlite_world, "penyetuju1")
    shown(visitor, "/personalisasi", many[0])
    with sqlite_world.app.app_context():
        engine = db.engine
    with counted(engine) as few:
        shown(visitor, "/personalisasi", many[0])
    with counted(engine) as all_:
        shown(visitor, "/personalisasi", *many)
    assert len(all_.statements) == len(few.statements)


def test_an_office_is_offered_no_approval(sqlite_world: World) -> None:
    one = sqlite_world.submitted()
    visitor = Visitor(sqlite_world, "magetan.kepala")
    assert shown(visitor, "/personalisasi", one) == []
    assert 'name="pilih"' not in visitor.get("/personalisasi").get_data(as_text=True)
    assert visitor.send("/personalisasi/sekaligus", request=[f"{one['id']}:{one['digest']}"]).status_code == 403


def test_requests_for_which_no_time_is_left_stay_submitted(sqlite_world: World) -> None:
    one = sqlite_world.submitted(function="R")
    visitor = Visitor(sqlite_world, "penyetuju1")
    seen = shown(visitor, "/personalisasi", one)
    sqlite_world.app.config["REQUEST_DEADLINE"] = 1.5
    visitor.send("/personalisasi/sekaligus", request=seen)
    assert "Belum dicoba: pilih sekali lagi." in visitor.seen
    assert state(sqlite_world, "/personalisasi", one) == "submitted"


def test_a_refusal_within_a_batch_is_recorded_although_the_page_answers_200(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world, "penyetuju1")
    one = sqlite_world.submitted(function="R")
    assert visitor.send("/personalisasi/sekaligus", request=[f"{uuid4()}:{'0' * 64}", f"{one['id']}:{one['digest']}"]).status_code == 200
    [(data,)] = sqlite_world.sql("SELECT data FROM audit_entry WHERE action = 'access.not_found'")
    assert "/personalisasi/sekaligus" in str(data)
    assert state(sqlite_world, "/personalisasi", one) == "approved"
