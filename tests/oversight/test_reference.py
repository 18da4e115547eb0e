"""Reference data: one person proposes, another executes; a file with wrong rows is refused completely, row by row."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.approvals.four_eyes import content_digest
from sifilma.demo import facts
from sifilma.documents.tables.writing import write_csv, write_xlsx
from tests.support.fsck_findings import fsck_findings
from tests.support.visitor import Visitor, goes_to, words
from tests.support.world import World, done, letter

HEADER = ("kind", "name", "region_code", "address")
GOOD = [
    ("institution", "BANK CONTOH", "", "Jakarta"),
    ("regency_office", "Dinas Kabupaten Contoh", "35.78", ""),
    ("province_office", "Dinas Provinsi Contoh", "51", ""),
]


def digest(world: World) -> str:
    return str(world.sql("SELECT digest FROM reference_change ORDER BY id DESC LIMIT 1")[0][0])


def upload(header: Any, rows: Any, write: Any = write_csv, name: str = "berkas.csv") -> Any:
    return io.BytesIO(write(header, rows)), name


def proposed(world: World, kind: str = "organisasi", header: Any = HEADER, rows: Any = GOOD) -> str:
    return goes_to(Visitor(world, "operator1").send(f"/organisasi/berkas/{kind}", file=upload(header, rows)))


def names(world: World) -> set[str]:
    return {row[0] for row in world.sql("SELECT name FROM organisation")}


@pytest.mark.parametrize(("name", "write"), [("o.csv", write_csv), ("o.xlsx", write_xlsx)])
def test_a_proposed_file_of_organisations_is_executed_by_an_approver(world: World, name: str, write: Any) -> None:
    change = goes_to(Visitor(world, "operator1").send("/organisasi/berkas/organisasi", file=upload(HEADER, GOOD, write, name)))
    assert "BANK CONTOH" not in names(world)
    assert "BANK CONTOH" in Visitor(world, "penyetuju1").text(change)
    goes_to(Visitor(world, "penyetuju1").send(f"{change}/laksanakan", digest=digest(world)))
    assert {row[1] for row in GOOD} <= names(world)
    acts = [row[0] for row in world.sql("SELECT action FROM audit_entry ORDER BY id DESC LIMIT 5")]
    assert sorted(acts) == ["organisation.register"] * 3 + ["reference.execute", "reference.propose"]
    assert Visitor(world, "penyetuju2").send(f"{change}/laksanakan", digest=digest(world)).status_code == 409


def test_an_agreement_brings_its_pdf_which_the_approver_sees_and_whoever_may_downloads(world: World) -> None:
    bank, pdf = world.organisations[facts.MANDIRI], letter()
    fields = {"number": "119/PKS/9", "valid_from": "2026-12-01", "valid_until": "2029-11-30"}
    operator, approver = Visitor(world, "operator1"), Visitor(world, "penyetuju1")
    wrong = operator.send(f"/organisasi/{bank}/pks", **fields, document=(io.BytesIO(b"<html>%PDF-1.4 %%EOF"), "pks.pdf"))
    assert "bukan berkas PDF yang lengkap" in words(wrong, 422)
    assert world.sql("SELECT COUNT(*) FROM reference_change") == [(0,)]
    change = goes_to(operator.send(f"/organisasi/{bank}/pks", **fields, document=(io.BytesIO(pdf), "pks.pdf")))
    assert approver.get(f"{change}/dokumen").get_data() == pdf
    goes_to(approver.send(f"{change}/laksanakan", digest=digest(world)))
    [(agreement,)] = world.sql("SELECT id FROM agreement WHERE number = '119/PKS/9'")
    path = f"/organisasi/{bank}/pks/{UUID(str(agreement))}"
    for who in ("mandiri.kepala", "magetan.kepala", "auditor1"):
        assert Visitor(world, who).get(path).get_data() == pdf, who
        assert path in Visitor(world, who).get(f"/organisasi/{bank}").get_data(as_text=True)
    for who in ("bpjs.kepala", "len.kepala"):
        assert Visitor(world, who).get(path).status_code == 404, who
    assert (
        Visitor(world, "mandiri.kepala").get(f"/organisasi/{world.organisations[facts.BPJS]}/pks/{UUID(str(agreement))}").status_code == 404
    )
    downloads = world.sql("SELECT object_kind FROM audit_entry WHERE action = 'document.download'")
    assert sorted(kind for (kind,) in downloads) == ["agreement"] * 3 + ["reference_change"]
    with pytest.raises(DBAPIError, match="agreement: what was recorded does not change"):
        world.sql("UPDATE agreement SET document_id = NULL")


def test_the_api_takes_an_agreement_with_its_pdf_and_the_digest_covers_it(world: World) -> None:
    operator, path = world.client("operator1"), "/reference-changes/agreement"
    stated = {"institution": facts.MANDIRI, "number": "119/PKS/9", "valid_from": "2026-12-01", "valid_until": "2029-11-30"}
    assert operator.send(path, stated).status_code == 422
    assert operator.send(path, stated | {"institution": "BANK LAIN"}, document=letter()).status_code == 422
    made = done(operator.send(path, stated, document=letter()), 201)
    assert made["document_sha256"] == hashlib.sha256(letter()).hexdigest()
    assert operator.get(made["links"]["document"].removeprefix("/api/v1")).get_data() == letter()
    other = {"id": made["id"], "kind": "agreements", "rows": made["rows"]}
    approve = f"/reference-changes/{made['id']}/approve"
    assert world.client("penyetuju1").post(approve, {"digest": content_digest(other)}).status_code == 409
    done(world.client("penyetuju1").post(approve, {"digest": made["digest"]}))
    assert content_digest(other | {"document": made["document_sha256"]}) == made["digest"]


def test_every_wrong_row_is_named_and_nothing_is_proposed(world: World) -> None:
    wrong = [
        ("dinas", "Dinas Aneh", "", ""),
        ("regency_office", "Dinas Tanpa Wilayah", "", ""),
        ("", "", "", ""),
        ("regency_office", "Dinas Lain di Magetan", "35.20", ""),
        ("institution", "BANK CONTOH", "", ""),
        ("institution", "B", "99.99", ""),
        ("province_office", "Dinas Keliru", "35.01", ""),
    ]
    rows = [*GOOD, *wrong]
    answer = Visitor(world, "operator1").send("/organisasi/berkas/organisasi", file=upload(HEADER, rows))
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    for row, column in ((5, "Jenis"), (6, "Kode wilayah"), (8, "Kode wilayah"), (9, "Nama"), (10, "Nama"), (11, "Kode wilayah")):
        assert f"<td>{row}</td><td>{column}</td>" in page, (row, column)
    assert world.sql("SELECT COUNT(*) FROM reference_change")[0][0] == 0
    assert "BANK CONTOH" not in names(world)


def test_known_rows_are_left_out_and_a_file_of_known_rows_is_refused(sqlite_world: World) -> None:
    known = ("institution", "BANK MANDIRI", "", "")
    change = proposed(sqlite_world, rows=[known, GOOD[0]])
    assert "BANK MANDIRI" not in Visitor(sqlite_world, "operator1").text(change)
    answer = Visitor(sqlite_world, "operator1").send("/organisasi/berkas/organisasi", file=upload(HEADER, [known]))
    assert (answer.status_code, 'id="e-file"' in answer.get_data(as_text=True)) == (422, True)
    assert Visitor(sqlite_world, "operator1").send("/organisasi/berkas/organisasi").status_code == 422
    assert Visitor(sqlite_world, "operator1").send("/organisasi/baru", kind="directorate", name="Direktorat Kedua").status_code == 422


def test_an_agreement_is_in_force_only_when_its_proposal_is_executed(world: World) -> None:
    bank = world.organisations[facts.MANDIRI]
    fields = {"number": "119/7/PKS", "valid_from": "2029-01-01", "valid_until": "2030-12-31"}
    wrong = Visitor(world, "operator1").send(f"/organisasi/{bank}/pks", **fields | {"valid_until": "2028-12-31"})
    assert 'id="e-valid_until"' in wrong.get_data(as_text=True)
    assert "<caption>" not in wrong.get_data(as_text=True)  # errors of a single row name fields, not rows
    change = goes_to(Visitor(world, "operator1").send(f"/organisasi/{bank}/pks", **fields))
    assert "119/7/PKS" not in Visitor(world, "operator1").text(f"/organisasi/{bank}")
    goes_to(Visitor(world, "penyetuju1").send(f"{change}/laksanakan", digest=digest(world)))
    assert "119/7/PKS" in Visitor(world, "operator1").text(f"/organisasi/{bank}")
    again = Visitor(world, "operator1").send(f"/organisasi/{bank}/pks", **fields)
    assert 'id="e-number"' in again.get_data(as_text=True)
    assert Visitor(world, "operator1").get(f"/organisasi/{world.organisations[facts.LEN]}/pks").status_code == 404


def test_a_single_model_and_a_single_organisation_are_proposed_by_form(world: World) -> None:
    maker = world.organisations[facts.LEN]
    model = goes_to(Visitor(world, "operator1").send(f"/organisasi/{maker}/model", name="LEN-CRD-2", function="R"))
    goes_to(Visitor(world, "penyetuju1").send(f"{model}/laksanakan", digest=digest(world)))
    assert "LEN-CRD-2" in Visitor(world, "len.kepala").text("/model")
    made = goes_to(Visitor(world, "operator1").send("/organisasi/baru", kind="manufacturer", name="PT CONTOH"))
    goes_to(Visitor(world, "penyetuju1").send(f"{made}/laksanakan", digest=digest(world)))
    assert "PT CONTOH" in names(world)


def test_an_unknown_name_in_a_file_of_agreements_or_models_is_named(sqlite_world: World) -> None:
    rows = [
        ("BANK TAK DIKENAL", "1/PKS", "2026-01-01", "2026-12-31"),
        ("BANK MANDIRI", "2/PKS", "2026-12-31", "2026-01-01"),
        ("BANK MANDIRI", "3/PKS", "kemarin", "2026-01-01"),
    ]
    header = ("institution", "number", "valid_from", "valid_until")
    page = Visitor(sqlite_world, "operator1").send("/organisasi/berkas/pks", file=upload(header, rows)).get_data(as_text=True)
    for row, column in ((2, "Lembaga"), (3, "Berlaku sampai"), (4, "Berlaku sejak")):
        assert f"<td>{row}</td><td>{column}</td>" in page
    models = [("M-1", "PT TAK DIKENAL", "R"), ("M-2", facts.LEN, "X")]
    answer = Visitor(sqlite_world, "operator1").send("/organisasi/berkas/model", file=upload(("name", "manufacturer", "function"), models))
    for row, column in ((2, "Produsen"), (3, "Fungsi")):
        assert f"<td>{row}</td><td>{column}</td>" in answer.get_data(as_text=True)


def test_the_proposer_may_not_execute_with_another_account_or_by_sql(world: World) -> None:
    change = proposed(world)
    assert Visitor(world, "operator1").send(f"{change}/laksanakan", digest=digest(world)).status_code == 403
    seen, act = digest(world), world.sql("SELECT id FROM audit_entry ORDER BY id DESC LIMIT 1")[0][0]
    assert Visitor(world, "penyetuju1").send(f"{change}/laksanakan", digest="0" * 64).status_code == 409
    for who in ("operator1", "operator2"):
        with pytest.raises(DBAPIError):
            world.sql(
                "UPDATE reference_change SET state = 'executed', revision = revision + 1, act_id = :act,"
                " changed_by = (SELECT id FROM user_account WHERE username = :who),"
                " decided_by_person = (SELECT person_id FROM user_account WHERE username = :who)",
                act=act,
                who=who,
            )
    for changed in ("digest = 'x'", "count = 1", "kind = 'models'", "proposed_by_person = decided_by_person"):
        with pytest.raises(DBAPIError):
            world.sql(f"UPDATE reference_change SET {changed}")
    with pytest.raises(DBAPIError):
        world.sql("DELETE FROM reference_change")
    goes_to(Visitor(world, "penyetuju1").send(f"{change}/laksanakan", digest=seen))


def test_a_proposal_is_rejected_with_a_note_or_withdrawn_by_its_proposer(world: World) -> None:
    change = proposed(world)
    assert Visitor(world, "penyetuju1").send(f"{change}/tolak").status_code == 422
    assert Visitor(world, "operator2").send(f"{change}/tarik").status_code == 403
    goes_to(Visitor(world, "penyetuju1").send(f"{change}/tolak", note="belum ada surat"))
    assert "belum ada surat" in Visitor(world, "operator1").text(change)
    again = proposed(world)
    goes_to(Visitor(world, "operator1").send(f"{again}/tarik"))
    assert Visitor(world, "penyetuju1").send(f"{again}/laksanakan", digest=digest(world)).status_code == 409
    assert "BANK CONTOH" not in names(world)


def test_rows_registered_since_the_proposal_are_not_registered_again(world: World) -> None:
    first, second = proposed(world), proposed(world, rows=GOOD[:1])
    goes_to(Visitor(world, "penyetuju1").send(f"{second}/laksanakan", digest=digest(world)))
    seen = world.sql("SELECT digest FROM reference_change ORDER BY id LIMIT 1")[0][0]
    assert Visitor(world, "penyetuju1").send(f"{first}/laksanakan", digest=seen).status_code == 409
    assert GOOD[1][1] not in names(world)


def test_only_operators_propose_and_only_central_people_see_proposals(sqlite_world: World) -> None:
    change = proposed(sqlite_world)
    for who in ("penyetuju1", "auditor1", "admin1", "magetan.kepala", "len.kepala"):
        for path in ("/organisasi/baru", "/organisasi/berkas/organisasi", "/organisasi/berkas/organisasi/templat.csv"):
            assert Visitor(sqlite_world, who).get(path).status_code == 403, (who, path)
    for who in ("admin1", "magetan.kepala", "len.kepala", "mandiri.kepala"):
        assert Visitor(sqlite_world, who).get(change).status_code == 403
    assert "Candra Contoh" in Visitor(sqlite_world, "auditor1").text("/organisasi/usulan")
    assert Visitor(sqlite_world, "operator1").get("/organisasi/berkas/rahasia").status_code == 404
    assert Visitor(sqlite_world, "operator1").get(f"/organisasi/usulan/{UUID(int=1)}").status_code == 404
    for kind, column in (("organisasi", "Kode wilayah"), ("pks", "Berlaku sampai"), ("model", "Produsen")):
        given = Visitor(sqlite_world, "operator1").get(f"/organisasi/berkas/{kind}/templat.csv")
        assert column in given.get_data().decode()


def test_the_commands_read_the_same_tables(sqlite_world: World, tmp_path: Path) -> None:
    file = tmp_path / "o.csv"
    file.write_bytes(write_csv(HEADER, [*GOOD, ("institution", "BANK MANDIRI", "", "")]))
    run = sqlite_world.app.test_cli_runner()
    assert run.invoke(args=["organisations", "import", str(file)]).output == "3 organisations added, 1 known already\n"
    file.write_bytes(
        write_csv(("institution", "number", "valid_from", "valid_until"), [("BANK CONTOH", "5/PKS", "2026-01-01", "2026-12-31")])
    )
    assert run.invoke(args=["agreements", "import", str(file)]).output == "1 agreements added, 0 known already\n"
    assert run.invoke(args=["agreements", "import", str(file)]).output == "0 agreements added, 1 known already\n"
    file.write_bytes(write_csv(("name", "manufacturer", "function"), [("X-1", facts.LEN, "R")]))
    assert run.invoke(args=["models", "import", str(file)]).output == "1 models added, 0 known already\n"
    file.write_bytes(write_csv(("name", "manufacturer", "function"), [("X-2", "PT TIADA", "R")]))
    assert "Row 2, manufacturer" in str(run.invoke(args=["models", "import", str(file)]).exception)


def test_a_model_serves_a_set_of_functions_and_each_unit_says_which(world: World) -> None:
    header, maker = ("name", "manufacturer", "function"), facts.LEN
    for rows in ([("DE620L", maker, "R"), ("DE620L", maker, "RW")], [("LEN-CRD-1", maker, "RW"), ("LEN-CRD-1", maker, "R")]):
        change = proposed(world, "model", header, rows)
        goes_to(Visitor(world, "penyetuju1").send(f"{change}/laksanakan", digest=digest(world)))
    taken = Visitor(world, "operator1").send("/organisasi/berkas/model", file=upload(header, [("DE620L", facts.SOFTORB, "R")]))
    assert taken.status_code == 422
    shown = {model["name"]: model for model in done(world.client("operator1").get("/models", limit=100))["items"]}
    assert [(shown[name]["function"], shown[name]["functions"]) for name in ("DE620L", "LEN-CRD-1", "LEN-ENC-1")] == [
        ("R", ["R", "RW"]), ("R", ["R", "RW"]), ("RW", ["RW"]),
    ]  # fmt: skip
    head = world.client("magetan.kepala")
    assert head.post("/units", {"hardware_number": "DE-1", "model": "DE620L"}).json["errors"][0]["field"] == "function"
    units = [{"hardware_number": f"DE-{one}", "model": "DE620L", "function": one} for one in ("R", "RW")]
    assert [unit["function"] for unit in done(head.post("/units", units), 201)["items"]] == ["R", "RW"]
    with pytest.raises(DBAPIError, match=r"only grows|by an act only"):
        world.sql("UPDATE device_model SET function = 'R', version = version + 1 WHERE name = 'DE620L'")
    assert fsck_findings(world) == []
