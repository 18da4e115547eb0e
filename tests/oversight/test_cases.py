"""Applications for models: who takes which step, what the database refuses, and which certificates are accepted."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.kernel.db import db
from tests.oversight.case_steps import MAKER, admitted, application, applied, certificate, certified, digest, model_id, recorded
from tests.support.counting import counted
from tests.support.visitor import Visitor, english, goes_to
from tests.support.world import World


def state(world: World) -> str:
    return str(world.sql("SELECT state FROM model_case")[0][0])


@pytest.mark.parametrize("kind", ["testing", "certification"])
def test_a_model_is_certified_and_the_minister_is_informed(world: World, kind: str) -> None:
    case = certified(world, kind)
    goes_to(Visitor(world, "operator2").send(f"{case}/lapor", note="470/1 tanggal 23-11-2026"))
    steps = world.sql("SELECT from_state, to_state FROM history WHERE object_kind = 'model_case' ORDER BY id")
    states = ["", "applied", "approved_to_test", "tested", "certified", "reported"]
    assert [tuple(step) for step in steps] == list(pairwise(states))
    shown = english(world, "magetan.staf").text(f"/model/{model_id(world)}")
    assert "1234/SJ-IND/TKDN/2026" in shown
    assert ("40.25" in shown) == (kind == "certification")
    assert "05/SRT" not in shown  # only the manufacturer and the directorate see applications
    assert "05/SRT" in english(world, MAKER).text(f"/model/{model_id(world)}")


def test_a_certificate_is_valid_from_its_certification_to_its_last_day(world: World) -> None:
    recorded(world, valid_until="2026-12-31")
    page = f"/model/{model_id(world)}"
    assert "Neither a test nor a TKDN certificate" in english(world, MAKER).text(page)
    certified(world, "testing", valid_until="2026-12-31")
    assert "No TKDN certificate of this model is in force" in english(world, MAKER).text(page)
    world.clock.advance(days=60)
    assert "Expired" in english(world, MAKER).text(page)
    assert "Expired" in english(world, MAKER).text("/model")


def test_the_person_who_recorded_a_certificate_may_not_certify_it(world: World) -> None:
    case = recorded(world)
    seen = digest(world, case)
    with pytest.raises(DBAPIError, match="only an approver approves"):
        approve_by_sql(world, "operator2", seen)
    with pytest.raises(DBAPIError, match="not what was seen"):
        approve_by_sql(world, "penyetuju1", "0" * 64)
    world.give_role("operator1", "approver")  # one person with both capabilities
    recorder = Visitor(world, "operator1")
    assert "another person certifies" in english(world, "operator1").text(case)
    assert recorder.send(f"{case}/sahkan", digest=seen).status_code == 403
    with pytest.raises(DBAPIError, match="approved by the submitter"):
        approve_by_sql(world, "operator1", seen)
    assert state(world) == "tested"
    goes_to(Visitor(world, "penyetuju1").send(f"{case}/sahkan", digest=seen))


def approve_by_sql(world: World, who: str, seen: str) -> None:
    world.sql(
        "INSERT INTO model_case_approval (id, model_case_id, digest, note, at, person_id, user_id, act_id)"
        " SELECT c.act_id, c.id, :seen, '', c.changed_at, u.person_id, u.id, c.act_id FROM model_case c, user_account u"
        " WHERE u.username = :who",
        seen=seen,
        who=who,
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE model_case SET state = 'certified', revision = revision + 1, act_id = (SELECT id FROM audit_entry LIMIT 1)",
        "UPDATE model_case SET state = 'reported'",
        "UPDATE model_case SET state = 'applied'",
        "UPDATE model_case SET digest = NULL",
        "UPDATE model_case SET notes = 'lain'",
        "UPDATE model_case SET required_approvals = 0",
        "UPDATE model_certificate SET tkdn_e2 = 9000",
        "DELETE FROM model_certificate",
        "DELETE FROM model_case",
    ],
)
def test_the_database_refuses_steps_and_changes_by_direct_sql(world: World, change: str) -> None:
    recorded(world)
    with pytest.raises(DBAPIError):
        world.sql(change)


def test_the_database_refuses_a_step_without_a_certificate_and_a_foreign_model(world: World) -> None:
    admitted(world)
    entry = world.sql("SELECT id FROM audit_entry WHERE action = 'organisation.register' LIMIT 1")[0][0]
    with pytest.raises(DBAPIError, match="only with its certificate recorded"):
        world.sql("UPDATE model_case SET state = 'tested', revision = revision + 1, act_id = :act", act=entry)
    other = world.sql("SELECT id FROM device_model WHERE name = 'LEN-CRD-1'")[0][0]
    copied = (
        "organisation_id, kind, letter_number, letter_date, letter_document_id, notes, created_at, required_approvals, revision,"
        " changed_at, change_note, act_id"
    )
    with pytest.raises(DBAPIError, match="its own models"):
        world.sql(
            f"INSERT INTO model_case (id, model_id, state, {copied}) SELECT act_id, :model, 'applied', {copied} FROM model_case",
            model=other,
        )


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"tkdn": "29,99"}, "tkdn"),
        ({"tkdn": ""}, "tkdn"),
        ({"tkdn": "101"}, "tkdn"),
        ({"tkdn": "banyak"}, "tkdn"),
        ({"tkdn": "30,123"}, "tkdn"),
        ({"issued_on": "2026-12-24"}, "issued_on"),
        ({"valid_until": "2026-11-01"}, "valid_until"),
        ({"issued_on": "2020-01-01", "valid_until": "2023-01-01"}, "valid_until"),
        ({"certificate": ""}, "certificate"),
        ({"number": ""}, "number"),
    ],
)
def test_an_impossible_certificate_is_refused_at_its_field(sqlite_world: World, wrong: dict[str, Any], field: str) -> None:
    case = admitted(sqlite_world)
    answer = Visitor(sqlite_world, "operator1").send(f"{case}/sertifikat", **certificate(**wrong))
    assert answer.status_code == 422
    assert f'id="e-{field}"' in answer.get_data(as_text=True)
    assert state(sqlite_world) == "approved_to_test"
    assert sqlite_world.sql("SELECT COUNT(*) FROM model_certificate")[0][0] == 0


def test_the_database_refuses_too_little_local_content(world: World) -> None:
    goes_to(Visitor(world, "penyetuju1").send(f"{recorded(world)}/kembalikan", note="persentase keliru"))
    with pytest.raises(DBAPIError):
        world.sql("UPDATE model_certificate SET tkdn_e2 = 2999")
    with pytest.raises(DBAPIError):
        world.sql("UPDATE model_certificate SET kind = 'test', tkdn_e2 = NULL")


def test_a_test_result_has_no_percentage(sqlite_world: World) -> None:
    case = admitted(sqlite_world, "testing")
    assert Visitor(sqlite_world, "operator1").send(f"{case}/sertifikat", **certificate()).status_code == 422


def test_a_returned_certificate_is_recorded_again_and_the_old_digest_is_refused(world: World) -> None:
    case = recorded(world)
    old = digest(world, case)
    assert Visitor(world, "penyetuju1").send(f"{case}/kembalikan").status_code == 422  # the note is missing
    goes_to(Visitor(world, "penyetuju1").send(f"{case}/kembalikan", note="nomor keliru"))
    assert "nomor keliru" in Visitor(world, "operator1").text(case)
    goes_to(
        Visitor(world, "operator2").send(f"{case}/sertifikat", **certificate(number="99/TKDN", certificate=""))
    )  # the old document is kept
    assert Visitor(world, "penyetuju1").send(f"{case}/sahkan", digest=old).status_code == 409
    goes_to(Visitor(world, "penyetuju1").send(f"{case}/sahkan", digest=digest(world, case)))
    assert world.sql("SELECT number FROM model_certificate")[0][0] == "99/TKDN"


def test_only_one_application_of_a_kind_is_open_at_a_time(world: World) -> None:
    case = applied(world)
    path = f"/model/{model_id(world)}/ajukan"
    assert Visitor(world, MAKER).send(path, **application()).status_code == 409
    applied(world, "testing")
    goes_to(Visitor(world, MAKER).send(f"{case}/batalkan", note="salah surat"))
    applied(world)


def test_another_manufacturer_finds_neither_model_nor_application(world: World) -> None:
    case, path = applied(world), f"/model/{model_id(world)}"
    foreign = Visitor(world, "len.kepala")
    for address in (path, f"{path}/ajukan", case, f"{case}/berkas/surat"):
        assert foreign.get(address).status_code == 404
    assert foreign.send(f"{path}/ajukan", **application()).status_code == 404
    assert foreign.send(f"{case}/batalkan").status_code == 404
    assert "SOFTORB" not in foreign.text("/model")


def test_each_role_may_take_only_its_own_steps(sqlite_world: World) -> None:
    case = applied(sqlite_world)
    for who in ("penyetuju1", "auditor1", MAKER, "magetan.kepala"):
        assert Visitor(sqlite_world, who).send(f"{case}/izinkan").status_code == 403, who
    for who in ("magetan.kepala", "mandiri.kepala"):
        assert Visitor(sqlite_world, who).get(case).status_code == 403, who
        assert Visitor(sqlite_world, who).get(f"/model/{model_id(sqlite_world)}").status_code == 200, who
    stale = Visitor(sqlite_world, "penyetuju1", fresh=False)
    assert stale.send(f"{case}/tolak", note="tidak lengkap").status_code == 403
    assert Visitor(sqlite_world, "auditor1").get(f"{case}/berkas/surat").data.startswith(b"%PDF")
    assert Visitor(sqlite_world, "auditor1").get(f"{case}/berkas/sertifikat").status_code == 404
    goes_to(Visitor(sqlite_world, "penyetuju1").send(f"{case}/tolak", note="tidak lengkap"))
    assert "tidak lengkap" in Visitor(sqlite_world, MAKER).text(case)


def test_models_are_found_by_name_maker_and_the_state_of_an_application(sqlite_world: World) -> None:
    applied(sqlite_world)
    visitor = english(sqlite_world, "operator1")
    for query in ({"q": "softorb"}, {"state": "applied"}, {"q": "CRD-1", "state": "applied"}):
        found = visitor.text("/model", **query)
        assert ("SOFTORB-CRD-1" in found, "LEN-ENC-1" in found) == (True, False), query
    assert "Nothing fits these filters" in visitor.text("/model", q="%")
    assert visitor.get("/model", unduh="csv").status_code == 200


def test_the_list_and_the_page_need_few_statements(sqlite_world: World) -> None:
    case = certified(sqlite_world)
    certified(sqlite_world, "testing")
    visitor = Visitor(sqlite_world, "operator1")
    with sqlite_world.app.app_context():
        engine = db.engine
    for path, most in (("/model", 9), (f"/model/{model_id(sqlite_world)}", 12), (case, 12)):
        with counted(engine) as found:
            visitor.get(path)
        assert len(found.statements) <= most, found.statements
