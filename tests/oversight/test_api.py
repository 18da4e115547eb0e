"""Models and reference data over the API, with the same rule of two persons as on the pages."""

from __future__ import annotations

from typing import Any

from tests.oversight.case_steps import MAKER, model_id
from tests.support.world import World, done, letter

APPLICATION = {"kind": "certification", "letter_number": "05/SRT/XI/2026", "letter_date": "2026-11-01"}
CERTIFICATE = {"number": "1234/TKDN/2026", "issuer": "P3DN", "issued_on": "2026-11-10", "valid_until": "2029-11-09", "tkdn": "40.25"}
BANK = {"kind": "institution", "name": "BANK CONTOH"}


def test_an_application_leads_to_a_certificate(world: World) -> None:
    maker, operator, approver = (world.client(name) for name in (MAKER, "operator1", "penyetuju1"))
    stated = APPLICATION | {"model": model_id(world)}
    assert maker.send("/model-cases", stated).status_code == 422  # the letter is missing
    case = done(maker.send("/model-cases", stated, letter=letter()), 201)
    assert (case["state"], case["model"]["name"], "admit" in case["links"]) == ("applied", "SOFTORB-CRD-1", True)
    path = f"/model-cases/{case['id']}"
    assert "certificate" in done(operator.post(f"{path}/admit"))["links"]
    recorded = done(operator.send(f"{path}/certificate", CERTIFICATE, certificate=letter()))
    assert (recorded["state"], recorded["certificate"]["tkdn"]) == ("tested", 40.25)
    assert approver.post(f"{path}/certify", {"digest": "0" * 64}).status_code == 409
    assert done(approver.post(f"{path}/certify", {"digest": recorded["digest"]}))["state"] == "certified"
    assert done(operator.post(f"{path}/report"))["state"] == "reported"
    assert [one["id"] for one in done(maker.get("/model-cases"))["items"]] == [case["id"]]
    assert done(world.client("len.kepala").get("/model-cases"))["items"] == []
    assert world.client("len.kepala").get(path).status_code == 404


def test_one_person_proposes_reference_data_and_another_registers_it(world: World) -> None:
    operator, approver = world.client("operator1"), world.client("penyetuju1")
    change = done(operator.post("/reference-changes/organisations", {"rows": [BANK]}), 201)
    assert (change["state"], change["count"], change["rows"][0]["name"]) == ("proposed", 1, "BANK CONTOH")
    path = f"/reference-changes/{change['id']}"
    assert operator.post(f"{path}/approve", {"digest": change["digest"]}).status_code == 403
    assert done(approver.post(f"{path}/approve", {"digest": change["digest"]}))["state"] == "executed"
    assert [one["name"] for one in done(operator.get("/organisations", q="CONTOH"))["items"]] == ["BANK CONTOH"]
    agreement = {"institution": "BANK CONTOH", "number": "PKS-1/2026", "valid_from": "2026-01-01", "valid_until": "2028-12-31"}
    wanted: dict[str, dict[str, Any]] = {"agreements": agreement, "models": {"name": "LEN-X", "manufacturer": "", "function": "R"}}
    wanted["models"]["manufacturer"] = world.sql("SELECT name FROM organisation WHERE kind = 'manufacturer' ORDER BY name LIMIT 1")[0][0]
    for kind, row in wanted.items():
        made = done(operator.post(f"/reference-changes/{kind}", {"rows": [row]}), 201)
        assert operator.post(f"/reference-changes/{kind}", {"rows": [row, row]}).status_code == 422  # sent twice
        ended = "reject" if kind == "models" else "withdraw"
        who = approver if ended == "reject" else operator
        assert done(who.post(f"/reference-changes/{made['id']}/{ended}", {"note": "keliru"}))["state"] == "rejected"
    assert len(done(operator.get("/reference-changes", state="rejected"))["items"]) == 2
    assert world.client("softorb.kepala").get("/reference-changes").status_code == 403
