"""A request is closed with a remainder by two persons; the ledger of blanks balances whatever happens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.fsck.run import examine
from tests.fsck.conftest import installation
from tests.support.visitor import english, landed
from tests.support.world import World, done, new_uid

SOUND = (
    "request-closed", "blank-balance", "batch-quantity", "card-approved", "four-eyes", "state-last-step", "steps-in-table", "step-act",
    "act-step", "history-object",
)  # fmt: skip


def broken(world: World) -> list[str]:
    return [str(found) for found in examine(installation(world), SOUND).findings]


def open_request(world: World, made: int = 2, of: int = 3) -> tuple[str, list[str]]:
    """Return an approved request of Magetan of which so many cards are made."""
    request = world.submitted(quantity=of)["id"]
    world.approve("personalisation-requests", request, "penyetuju1", "penyetuju2")
    uids = [new_uid() for _ in range(made)]
    if made:
        record(world, request, uids)
    return request, uids


def record(world: World, request: str, uids: list[str], outcome: str = "personalised", status: int = 200) -> Any:
    results = [{"sam_uid": uid, "outcome": outcome} for uid in uids]
    return done(world.client("operator1").post(f"/personalisation-requests/{request}/results", {"results": results}), status)


def test_an_order_that_shrank_is_closed_by_two_persons_and_the_figures_are_right(world: World) -> None:
    request, uids = open_request(world)
    path, why = f"/personalisation-requests/{request}", {"reason": "surat pesanan dikurangi"}
    assert (done(world.client("operator1").get(path))["made"], done(world.client("operator1").get(path))["remaining"]) == (2, 1)
    assert world.client("penyetuju1").post(f"{path}/close", why).json["type"].endswith("no-proposal")
    assert world.client("bangli.kepala").post(f"{path}/close", why).status_code == 404
    proposed = done(world.client("magetan.kepala").post(f"{path}/close", why), 202)
    assert (proposed["state"], proposed["closing"]["state"], proposed["remaining"]) == ("personalising", "proposed", 1)
    assert world.client("operator1").post(f"{path}/close", why).json["type"].endswith("proposed-already")
    assert world.client("penyetuju1", fresh=False).post(f"{path}/close", why).json["type"].endswith("step-up-required")
    closed = done(world.client("penyetuju1").post(f"{path}/close", {"reason": "sesuai surat"}))
    assert (closed["state"], closed["made"], closed["remaining"], closed["closing"]["remainder"]) == ("closed", 2, 0, 1)
    assert world.client("penyetuju1").post(f"{path}/close", why).status_code == 409
    refused = world.client("operator1").post(f"{path}/results", {"results": [{"sam_uid": new_uid(), "outcome": "personalised"}]})
    assert refused.status_code == 409
    bast = done(world.client("operator1").post("/handovers", {"to": str(world.organisation_of("magetan.kepala")), "cards": uids}), 201)
    done(world.client("magetan.kepala").post(f"/handovers/{bast['id']}/receive"))
    assert broken(world) == []


def test_a_proposal_is_rejected_and_the_request_goes_on(sqlite_world: World) -> None:
    world = sqlite_world
    request, _ = open_request(world)
    path = f"/personalisation-requests/{request}/close"
    world.give_role("operator1", "approver")
    done(world.client("operator1").post(path, {"reason": "pesanan dikurangi"}), 202)
    own = world.client("operator1").post(path, {"reason": "pesanan dikurangi"})
    assert own.json["type"].endswith("four-eyes")
    assert done(world.client("penyetuju2").post(path, {"reason": "belum", "decision": "reject"}))["state"] == "personalising"
    record(world, request, [new_uid()])
    assert done(world.client("operator1").get(f"/personalisation-requests/{request}"))["state"] == "completed"
    assert world.client("operator1").post(path, {"reason": "pesanan dikurangi"}).status_code == 409
    assert broken(world) == []


def test_cards_of_a_batch_that_were_not_made_are_revoked_and_their_machines_are_free(world: World) -> None:
    numbers, uids = world.units("mandiri.kepala", 2, "SOFTORB-CRD-1", "R", pcid=False), [new_uid(), new_uid()]
    rows: list[tuple[str, ...]] = [
        (number, "SOFTORB-CRD-1", pcid * 16, uid) for number, pcid, uid in zip(numbers, ("A1", "B2"), uids, strict=True)
    ]
    request = world.batch(rows)
    world.approve("personalisation-requests", request, "penyetuju1")
    deliver(world, uids)
    record(world, request, uids[:1])
    path = f"/personalisation-requests/{request}/close"
    assert world.client("mandiri.kepala").post(path, {"reason": "bukan pemohon"}).status_code == 403
    done(world.client("softorb.kepala").post(path, {"reason": "bank membatalkan satu mesin"}), 202)
    done(world.client("penyetuju1").post(path, {"reason": "sesuai surat bank"}))
    assert world.sql("SELECT state FROM card WHERE uid = :uid", uid=uids[1]) == [("revoked",)]
    again = world.batch([(numbers[1], "SOFTORB-CRD-1", "B2" * 16, new_uid())])
    world.approve("personalisation-requests", again, "penyetuju1")
    assert counts(world) == {"delivered": 2, "left": 0, "issued": 0, "personalised": 1, "failed": 0, "withdrawn": 1}
    assert broken(world) == []


def test_the_page_proposes_decides_and_says_what_was_not_made(sqlite_world: World) -> None:
    world = sqlite_world
    world.change_account("magetan.kepala", email="indah@magetan.example")
    world.configure(smtp_host="127.0.0.1", smtp_from="si-filma@contoh.example")
    request, _ = open_request(world)
    page, told = f"/personalisasi/{request}", "SELECT COUNT(*) FROM outbox_message WHERE purpose = 'notice'"
    [(before,)] = world.sql(told)
    assert "propose to close the request" in english(world, "operator1").text(page)
    assert english(world, "operator1").send(f"{page}/tutup", reason=" ").status_code == 422
    landed(english(world, "operator1").send(f"{page}/tutup", reason="pesanan dikurangi"))
    assert page in english(world, "penyetuju1").get("/").get_data(as_text=True)
    assert page in english(world, "operator1").get("/").get_data(as_text=True)
    landed(english(world, "penyetuju1").send(f"{page}/tutup", decision="execute", reason="sesuai surat"))
    assert "Closed with a remainder of 1 card" in english(world, "magetan.kepala").text(page)
    assert world.sql(told) == [(before + 1,)]


def test_the_database_refuses_to_close_a_request_without_two_persons(world: World) -> None:
    open_request(world)
    with pytest.raises(DBAPIError, match="closed by two persons"):
        world.sql(
            "UPDATE personalisation_request SET state = 'closed', revision = revision + 1,"
            " act_id = (SELECT act_id FROM history WHERE object_kind = 'card' LIMIT 1)"
        )


# --- the ledger --------------------------------------------------------------------------------------------------------


def deliver(world: World, uids: list[str], status: int = 201, **more: Any) -> Any:
    note = {"number": "SJ-1/2026", "supplier": "PT Kartu Contoh", "delivered_on": "2026-11-20", "cards": uids} | more
    return done(world.client("operator1").post("/blank-deliveries", note), status)


def counts(world: World) -> dict[str, int]:
    found = done(world.client("operator1").get("/blank-stock"))
    return {name: number for name, number in found.items() if name != "low"}


def test_the_counts_of_the_ledger_balance_through_delivery_issue_result_and_return(world: World) -> None:
    uids = [new_uid() for _ in range(6)]
    made = deliver(world, uids, count=6)
    assert (made["count"], made["counts"]) == (6, {"stocked": 6})
    request, _ = open_request(world, made=0, of=4)
    operator = world.client("operator1")
    body = {"personalisation_request": request}
    done(operator.post("/blank-cards/issue", body | {"cards": uids[:2]}))
    assert [one["sam_uid"] for one in done(operator.post("/blank-cards/issue", body | {"count": 2}))["items"]] == uids[2:4]
    assert operator.post("/blank-cards/issue", body | {"count": 3}).status_code == 422
    assert operator.post("/blank-cards/issue", body | {"cards": uids[:1]}).status_code == 422
    assert operator.post("/blank-cards/issue", body).status_code == 422
    record(world, request, uids[:1])
    record(world, request, [uids[1]], "failed")
    record(world, request, [uids[4]])  # not issued before, but delivered
    assert counts(world) == {"delivered": 6, "left": 1, "issued": 2, "personalised": 2, "failed": 1, "withdrawn": 0}
    done(operator.post("/blank-cards/return", {"cards": [uids[2]], "note": "tidak terpakai"}))
    done(operator.post(f"/personalisation-requests/{request}/close", {"reason": "dikurangi"}), 202)
    done(world.client("penyetuju1").post(f"/personalisation-requests/{request}/close", {"reason": "sesuai"}))
    assert counts(world) == {"delivered": 6, "left": 3, "issued": 0, "personalised": 2, "failed": 1, "withdrawn": 0}
    assert broken(world) == []


def test_a_uid_that_was_never_delivered_is_asked_about_unless_the_setting_demands_the_ledger(sqlite_world: World) -> None:
    world = sqlite_world
    request, _ = open_request(world, made=1, of=4)  # no ledger is kept: nothing is said
    deliver(world, [new_uid()])
    strange = new_uid()
    assert f"{strange} was never delivered as a blank." in str(record(world, request, [strange])["warnings"])
    world.configure(blank_ledger_required=True)
    refused = record(world, request, [new_uid()], status=422)
    assert refused["errors"][0]["field"] == "sam_uid"
    other, _ = open_request(world, made=0, of=1)
    [taken] = world.sql("SELECT uid FROM blank_card")[0]
    done(world.client("operator1").post("/blank-cards/issue", {"personalisation_request": request, "cards": [taken]}))
    assert "issued for another request" in str(record(world, other, [taken], status=422))
    record(world, request, [taken])
    assert broken(world) == []


def test_a_wrong_delivery_is_told_at_once_row_by_row_and_a_wrong_one_is_cancelled(world: World) -> None:
    request, cards = open_request(world, made=1, of=2)
    uids = [new_uid() for _ in range(3)]
    lines = "\n".join(["UID kartu SAM", uids[0], uids[0], "tidak ada", cards[0], uids[1]])
    stated = {"number": "SJ-2", "supplier": "PT Kartu Contoh", "delivered_on": "2026-11-20"}
    operator = world.client("operator1")
    answer = operator.send("/blank-deliveries", stated, part="delivery", file=("blanks.csv", lines.encode()))
    assert [error["row"] for error in done(answer, 422)["errors"]] == [3, 4, 5]
    assert deliver(world, uids, 422, count=4, delivered_on="2027-01-01")["errors"][0]["field"] == "delivered_on"
    text = "\n".join(["sam_uid", *uids])
    made = done(operator.send("/blank-deliveries", stated | {"count": 3}, part="delivery", file=("blanks.csv", text.encode())), 201)
    assert deliver(world, [new_uid()], 409, number="sj -2")["type"].endswith("delivery-known")
    assert "delivered before" in str(deliver(world, uids[:1], 422))
    done(operator.post(f"/blank-deliveries/{made['id']}/cancel", {"note": "salah catat"}))
    done(operator.send("/blank-deliveries", stated, part="delivery", file=("blanks.csv", text.encode())), 201)
    done(operator.post("/blank-cards/issue", {"personalisation_request": request, "count": 1}))
    [(key,)] = world.sql("SELECT id FROM blank_delivery WHERE state = 'recorded'")
    assert operator.post(f"/blank-deliveries/{UUID(str(key))}/cancel", {"note": "terlambat"}).status_code == 409
    assert world.client("magetan.kepala").get("/blank-deliveries").status_code == 403
    assert broken(world) == []


def test_operators_are_told_once_when_few_are_left_and_the_pages_show_the_ledger(sqlite_world: World) -> None:
    world = sqlite_world
    world.change_account("operator1", email="candra@directorate.example")
    world.configure(smtp_host="127.0.0.1", smtp_from="si-filma@contoh.example", blank_low_stock=3)
    page = english(world, "operator1")
    assert "No delivery is recorded." in page.text("/sam-kosong")
    uids = [new_uid() for _ in range(4)]
    fields = {"number": "SJ-9", "supplier": "PT Kartu Contoh", "delivered_on": "2026-11-20", "uids": "\n".join(uids)}
    assert page.send("/sam-kosong/baru", **fields | {"count": "5"}).status_code == 422
    landed(page.send("/sam-kosong/baru", **fields, count="4"))
    request, _ = open_request(world, made=0, of=4)
    told = "SELECT COUNT(*) FROM outbox_message WHERE purpose = 'notice'"
    [(before,)] = world.sql(told)
    for _ in range(3):
        landed(page.send("/sam-kosong/keluarkan", personalisation_request=request, count="1"))
    assert world.sql(told) == [(before + 1,)]
    assert "Few blank SAMs are left." in page.text("/sam-kosong")
    assert "SJ-9" in page.get("/sam-kosong", unduh="csv").get_data(as_text=True)
    landed(page.send("/sam-kosong/kembali", uids=uids[0], note="tidak terpakai"))
    [(key,)] = world.sql("SELECT id FROM blank_delivery")
    assert "In the store" in page.text(f"/sam-kosong/{UUID(str(key))}")
    assert counts(world)["left"] == 2
