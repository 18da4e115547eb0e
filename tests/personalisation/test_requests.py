"""Personalisation requests of offices and manufacturers, and their results."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from sifilma.documents.service import Upload
from sifilma.documents.store import DatabaseStore
from sifilma.documents.tables.writing import write_xlsx
from sifilma.documents.uploads import MAX_PDF
from sifilma.kernel.actor import Actor, OrganisationKind, Role
from sifilma.kernel.errors import Invalid
from sifilma.personalisation import results, service
from sifilma.personalisation.schemas import PersonalisationIn
from sifilma.personalisation.service import Files
from tests.accounts.known_people import further_account
from tests.support.simultaneous_calls import start_in_background
from tests.support.world import World, done, letter, new_uid

PATH = "/personalisation-requests"


def test_rw_needs_two_approvers_other_than_the_submitter(world: World) -> None:
    request = world.submitted(function="RW", quantity=2)
    first = world.approve("personalisation-requests", request["id"], "penyetuju1")
    assert (first["state"], first["required_approvals"]) == ("submitted", 2)
    again = world.client("penyetuju1").post(f"{PATH}/{request['id']}/approve", {"digest": request["digest"]})
    assert again.status_code == 409
    assert world.approve("personalisation-requests", request["id"], "penyetuju2")["state"] == "approved"
    for name in ("magetan.kepala", "operator1", "auditor1"):
        assert world.client(name).post(f"{PATH}/{request['id']}/approve", {"digest": request["digest"]}).status_code == 403


def test_two_simultaneous_approvals_approve_the_request(postgresql_world: World) -> None:
    world = postgresql_world
    request, client = world.submitted(function="RW"), world.client("penyetuju2")
    with world.acting("penyetuju1") as ctx:
        service.approve(ctx, world.settings, UUID(request["id"]), request["digest"])
        other = start_in_background(partial(client.post, f"{PATH}/{request['id']}/approve", {"digest": request["digest"]}))
    assert done(other())["state"] == "approved"


def test_an_approval_of_another_content_is_a_conflict(world: World) -> None:
    request = world.submitted(function="R")
    refused = world.client("penyetuju1").post(f"{PATH}/{request['id']}/approve", {"digest": "f" * 64})
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:digest-mismatch")


def test_a_returned_request_is_corrected_and_submitted_again(world: World) -> None:
    request = world.submitted(function="R")
    client = world.client("magetan.kepala")
    stated = world.letter() | {"function": "R", "quantity": 3}
    assert client.send(f"{PATH}/{request['id']}", stated, method="PUT").status_code == 409
    done(world.client("operator1").post(f"{PATH}/{request['id']}/return", {"note": "jumlah salah"}))
    assert done(client.send(f"{PATH}/{request['id']}", stated, method="PUT"))["quantity"] == 3
    assert done(client.post(f"{PATH}/{request['id']}/submit"))["digest"] != request["digest"]


def test_a_letter_must_be_new_and_without_active_content(world: World) -> None:
    client, stated = world.client("magetan.kepala"), world.letter() | {"function": "R", "quantity": 1}
    assert client.send(PATH, stated).json["errors"][0]["field"] == "letter"
    active = letter().replace(b"%%EOF", b"1 0 obj <</OpenAction <</S /JavaScript /JS (x)>> >> endobj %%EOF")
    assert client.send(PATH, stated, letter=active).status_code == 422
    done(client.send(PATH, stated, letter=letter()), 201)
    spaced = stated | {"letter_number": stated["letter_number"].replace("/", " / ")}
    again = client.send(PATH, spaced, letter=letter())
    assert (again.status_code, again.json["type"]) == (409, "urn:sifilma:problem:letter-known")
    done(world.client("bangli.kepala").send(PATH, stated, letter=letter()), 201)  # the same number of another sender


def test_an_office_requests_for_itself_only(world: World) -> None:
    stated = world.letter() | {"function": "R", "quantity": 1, "on_behalf_of": str(world.organisation_of("bangli.kepala"))}
    assert world.client("magetan.kepala").send(PATH, stated, letter=letter()).status_code == 422
    first = world.client("mandiri.kepala").send(PATH, world.letter() | {"function": "R", "quantity": 1}, letter=letter())
    assert [error["field"] for error in first.json["errors"]] == ["replaces"]  # an institution asks for replacements only


def batch(world: World, rows: Sequence[tuple[str, ...]], files: Mapping[str, bytes] = MappingProxyType({}), **more: Any) -> Any:
    stated = (
        world.letter()
        | {
            "function": "R",
            "on_behalf_of": str(world.organisation_of("mandiri.kepala")),
            "purchase_order_number": "PO-7",
        }
        | more
    )
    table = write_xlsx(("hardware_number", "model", "pcid", "sam_uid"), rows)
    sent: dict[str, Any] = {"letter": letter(), "purchase_order": letter(), "batch": ("batch.xlsx", table)} | dict(files)
    return world.client("softorb.kepala").send(PATH, stated, **sent)


def test_a_letter_and_a_purchase_order_of_the_largest_size_are_accepted_together(sqlite_world: World) -> None:
    [number] = sqlite_world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)
    head, tail = letter().split(b"\n", 1)
    large = head + b"\n%" + b" " * (MAX_PDF - len(head) - len(tail) - 3) + b"\n" + tail
    files = {"letter": large, "purchase_order": large}
    made = batch(sqlite_world, [(number, "SOFTORB-CRD-1", secrets.token_hex(16), new_uid())], files=files)
    made.request.environ["wsgi.input"].close()  # the test client leaves its file open
    assert (len(large), done(made, 201)["quantity"]) == (MAX_PDF, 1)


def test_the_file_of_a_batch_is_read_before_a_transaction_begins(sqlite_world: World) -> None:
    damaged = Files(Upload("surat.pdf", letter()), Upload("po.pdf", letter()), Upload("batch.xlsx", b"PK\x03\x04 damaged"))
    stated = PersonalisationIn.model_validate(sqlite_world.letter() | {"function": "R"})
    maker = Actor(organisation_id=sqlite_world.organisation_of("softorb.kepala"), organisation_kind=OrganisationKind.MANUFACTURER)
    with sqlite_world.context(maker) as ctx:
        with pytest.raises(Invalid, match="damaged"):
            service.draft(ctx, sqlite_world.settings, DatabaseStore(), stated, damaged)
        assert not ctx.uow.in_transaction


def test_every_wrong_row_of_a_batch_is_named_and_nothing_is_saved(world: World) -> None:
    numbers = world.units("mandiri.kepala", 3, "SOFTORB-CRD-1", "R", pcid=False)
    pcid, uid = secrets.token_hex(16), new_uid()
    rows = [
        (numbers[0], "SOFTORB-CRD-1", "12", uid),
        ("NO-SUCH-UNIT", "SOFTORB-CRD-1", secrets.token_hex(16), new_uid()),
        (numbers[1], "LEN-CRD-1", pcid, new_uid()),
        (numbers[2], "SOFTORB-CRD-1", pcid, "zz"),
    ]
    refused = batch(world, rows)
    assert refused.status_code == 422
    found = {(error["row"], error["field"]) for error in refused.json["errors"]}
    assert {(2, "pcid"), (3, "hardware_number"), (4, "model"), (5, "sam_uid")} <= found
    assert world.sql("SELECT COUNT(*) FROM personalisation_request")[0][0] == 0
    assert world.sql("SELECT COUNT(*) FROM batch_row")[0][0] == 0


def test_a_batch_tells_a_maker_nothing_of_other_makers_units(world: World) -> None:
    """attack.md k6: rows for units of another maker, with its PCID and its card, are answered as rows for units that do not exist."""
    (theirs,) = world.units("mandiri.kepala", 1, "LEN-CRD-1", "R", pcid=False)
    pcid, uid = secrets.token_hex(16).upper(), new_uid()
    request = world.batch([(theirs, "LEN-CRD-1", pcid, uid)], "mandiri.kepala", "len.kepala")
    world.approve("personalisation-requests", request, "penyetuju1")
    answers = []
    for number in (theirs, "TIDAK-ADA"):
        for model in ("SOFTORB-CRD-1", "LEN-CRD-1"):
            for row in ((number, model, pcid, uid), (number, model, secrets.token_hex(16), new_uid())):
                refused = batch(world, [row])
                assert refused.status_code == 422
                told = [(error["field"], error["message"].replace(number, "…")) for error in refused.json["errors"]]
                answers.append((refused.json["detail"], told))
    assert answers == [answers[0]] * 8
    assert [field for field, _ in answers[0][1]] == ["hardware_number"]
    assert theirs not in str(done(world.client("softorb.kepala").get("/units")))


def test_a_thousand_rows_are_accepted_and_one_more_is_not(sqlite_world: World) -> None:
    world = sqlite_world
    numbers = world.units("mandiri.kepala", 1000, "SOFTORB-CRD-1", "R", pcid=False)
    rows = [(number, "SOFTORB-CRD-1", secrets.token_hex(16), new_uid()) for number in numbers]
    assert done(batch(world, rows), 201)["quantity"] == 1000
    assert batch(world, [*rows, ("ONE-MORE", "SOFTORB-CRD-1", secrets.token_hex(16), new_uid())]).status_code == 422


def test_an_approved_batch_registers_its_cards_and_sets_the_pcid_of_the_units(world: World) -> None:
    number, pcid, uid = world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0], secrets.token_hex(16).upper(), new_uid()
    request = world.batch([(number, "SOFTORB-CRD-1", pcid, uid)])
    assert world.sql("SELECT pcid FROM unit")[0][0] is None
    world.approve("personalisation-requests", request, "penyetuju1")
    assert world.sql("SELECT pcid FROM unit")[0][0] == pcid
    assert done(world.client("mandiri.kepala").get(f"/cards/{uid}"))["state"] == "registered"


def test_a_batch_for_an_institution_without_an_agreement_is_not_approved(world: World) -> None:
    number = world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0]
    request = world.batch([(number, "SOFTORB-CRD-1", secrets.token_hex(16), new_uid())])
    digest = done(world.client("penyetuju1").get(f"{PATH}/{request}"))["digest"]
    world.clock.advance(days=365 * 4)
    refused = world.client("penyetuju1").post(f"{PATH}/{request}/approve", {"digest": digest})
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:no-agreement")


def test_results_are_recorded_in_parts_and_a_failed_card_is_replaced(world: World) -> None:
    request = world.submitted(function="R", quantity=2)["id"]
    world.approve("personalisation-requests", request, "penyetuju1")
    operator, path = world.client("operator1"), f"{PATH}/{request}/results"
    good, bad, other = new_uid(), new_uid(), new_uid()
    part = [{"sam_uid": good, "outcome": "personalised"}, {"sam_uid": bad, "outcome": "failed"}]
    assert done(operator.post(path, {"results": part}))["state"] == "personalising"
    wrong = operator.post(path, {"results": [{"sam_uid": other, "outcome": "personalised", "kcv": "000000"}]})
    assert wrong.json["errors"][0]["field"] == "kcv"
    csv = f"sam_uid,outcome\n{other},personalised\n".encode()
    assert done(operator.call("POST", path, data=csv, content_type="text/csv"))["state"] == "completed"
    assert operator.post(path, {"results": [{"sam_uid": new_uid(), "outcome": "personalised"}]}).status_code == 409
    states = dict(world.sql("SELECT uid, state FROM card"))
    assert states == {good: "personalised", bad: "damaged", other: "personalised"}


def test_two_simultaneous_files_of_results_complete_the_request(postgresql_world: World) -> None:
    world = postgresql_world
    request = world.submitted(function="R", quantity=3)["id"]
    world.approve("personalisation-requests", request, "penyetuju1")
    path, client = f"{PATH}/{request}/results", world.client("operator2")
    made = [{"sam_uid": new_uid(), "outcome": "personalised"} for _ in range(3)]
    done(client.post(path, {"results": made[:1]}))
    with world.acting("operator1") as ctx:
        results.add_results(ctx, world.settings, world.hsm, UUID(request), results.parse_results({1: made[1]}))
        other = start_in_background(partial(client.post, path, {"results": made[2:]}))
    assert done(other())["state"] == "completed"


def drafted(world: World, number: str) -> str:
    made = done(batch(world, [(number, "SOFTORB-CRD-1", secrets.token_hex(16), new_uid())]), 201)
    return str(made["id"])


def test_another_buyer_needs_another_batch(sqlite_world: World) -> None:
    world = sqlite_world
    number = world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0]
    path = f"{PATH}/{drafted(world, number)}"
    stated = world.letter() | {
        "function": "R",
        "on_behalf_of": str(world.organisation_of("magetan.kepala")),
        "purchase_order_number": "PO-8",
    }
    refused = world.client("softorb.kepala").send(path, stated, method="PUT")
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "batch")
    same = stated | {"on_behalf_of": str(world.organisation_of("mandiri.kepala"))}
    done(world.client("softorb.kepala").send(path, same, method="PUT"))


def test_a_batch_of_another_organisations_units_is_not_approved(world: World) -> None:
    number = world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0]
    request = drafted(world, number)
    world.sql("UPDATE personalisation_request SET buyer_id = (SELECT id FROM organisation WHERE name LIKE '%Magetan%')")
    digest = done(world.client("softorb.kepala").post(f"{PATH}/{request}/submit"))["digest"]
    refused = world.client("penyetuju1").post(f"{PATH}/{request}/approve", {"digest": digest})
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:batch-changed")
    assert world.sql("SELECT pcid FROM unit")[0][0] is None


def test_the_second_of_two_batches_for_one_unit_is_not_approved(world: World) -> None:
    number = world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0]
    pcid = secrets.token_hex(16)
    first, second = (world.batch([(number, "SOFTORB-CRD-1", pcid, new_uid())]) for _ in range(2))
    world.approve("personalisation-requests", first, "penyetuju1")
    digest = done(world.client("penyetuju1").get(f"{PATH}/{second}"))["digest"]
    refused = world.client("penyetuju1").post(f"{PATH}/{second}/approve", {"digest": digest})
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:batch-changed")
    assert [(error["row"], error["field"]) for error in refused.json["errors"]] == [(2, "hardware_number")]


def test_results_tie_one_card_to_a_unit_and_a_failed_card_leaves_it_free(world: World) -> None:
    number = world.units("magetan.kepala", 1, "LEN-CRD-1", "R")[0]
    request = world.submitted(function="R", quantity=2)["id"]
    world.approve("personalisation-requests", request, "penyetuju1")
    client, path = world.client("operator1"), f"{PATH}/{request}/results"
    good, twin, bad = ({"sam_uid": new_uid(), "outcome": "personalised", "hardware_number": number} for _ in range(3))
    refused = client.post(path, {"results": [good, twin]})
    assert [(error["row"], error["field"]) for error in refused.json["errors"]] == [(2, "hardware_number")]
    free = {"sam_uid": new_uid(), "outcome": "personalised"}
    done(client.post(path, {"results": [bad | {"outcome": "failed"}, good, free]}))
    assert world.sql("SELECT uid FROM card WHERE state = 'personalised' AND unit_id IS NOT NULL") == [(good["sam_uid"],)]
    with pytest.raises(IntegrityError):
        world.sql("UPDATE card SET unit_id = (SELECT id FROM unit) WHERE state = 'personalised'")


def test_an_approver_may_not_submit_the_request_again_with_another_account(world: World) -> None:
    further_account(world, "magetan.staf", "x.pusat", "penyetuju1", Role.APPROVER)
    request = world.submitted(function="RW")
    path = f"/personalisation-requests/{request['id']}"
    done(world.client("x.pusat").post(f"{path}/approve", {"digest": request["digest"]}))
    done(world.client("operator1").post(f"{path}/return", {"note": "Mohon diperiksa"}))
    assert world.client("magetan.staf").post(f"{path}/submit").status_code == 403
    step = "revision = revision + 1, act_id = (SELECT MIN(CAST(e.id AS TEXT)) FROM audit_entry e WHERE e.id <> act_id)"
    if world.settings.database.startswith("postgresql"):
        step = step.replace("MIN(CAST(e.id AS TEXT))", "MIN(CAST(e.id AS TEXT))::uuid")
    themselves = "submitted_by_person = (SELECT person_id FROM personalisation_approval)"
    world.sql(f"UPDATE personalisation_request SET state = 'submitted', {themselves}, {step}")
    assert world.approve("personalisation-requests", request["id"], "penyetuju2")["state"] == "submitted"
    with pytest.raises(DBAPIError, match="not enough approvals"):  # nor by direct SQL
        world.sql(f"UPDATE personalisation_request SET state = 'approved', {step}")
