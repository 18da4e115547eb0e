"""The log over HTTP and in documents: who may read what, and what a document says about the log."""

from __future__ import annotations

import subprocess
from datetime import timedelta

from sifilma.app.audit_commands import keep_log
from sifilma.audit import checkpoints, note
from tests.support import programs
from tests.support.transparency_log import act, as_superuser, grown, newest_note, sequence
from tests.support.world import World, done


def pdf_text(data: bytes) -> str:
    command = [programs.program("pdftotext"), "-layout", "-", "-"]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout.decode()


def test_an_entry_shows_its_place_in_the_log_once_sequenced(world: World) -> None:
    act(world)
    auditor = world.client("auditor1")
    entry = done(auditor.get("/audit", action="unit.change"))["items"][0]
    assert (entry["seq"], entry["links"]) == (None, {})
    assert auditor.get("/audit/checkpoint").status_code == 404
    sequence(world)
    entry = done(auditor.get("/audit", action="unit.change"))["items"][0]
    assert entry["links"] == {"proof": f"/api/v1/audit/{entry['seq']}/proof"}
    assert done(auditor.get("/audit/checkpoint"))["note"] == newest_note(world)


def test_a_proof_is_given_to_whoever_may_read_the_entry(world: World) -> None:
    world.submitted("magetan.kepala", "R")
    sequence(world)
    seq = done(world.client("magetan.kepala").get("/audit", action="personalisation.submit"))["items"][0]["seq"]
    path = f"/audit/{seq}/proof"
    for name in ("magetan.kepala", "jatim.kepala", "auditor1"):
        assert done(world.client(name).get(path))["seq"] == seq
    for name in ("bangli.kepala", "mandiri.kepala", "operator1"):
        assert world.client(name).get(path).status_code == 404, name
    assert world.client("admin1").get(path).status_code == 403
    assert world.anonymous().get(path).status_code == 401
    auditor = world.client("auditor1")
    assert auditor.get("/audit/99999/proof").status_code == 404
    assert auditor.get(f"/audit/{2**70}/proof").status_code in (404, 422)
    assert auditor.get("/audit/-1/proof").status_code == 404


def test_the_proof_of_an_unsigned_entry_is_refused(world: World) -> None:
    grown(world, 1)
    entry = act(world)[0]
    with world.app.app_context():
        keep_log()
    auditor = world.client("auditor1")
    seq = next(item["seq"] for item in done(auditor.get("/audit"))["items"] if item["id"] == entry)
    answer = auditor.get(f"/audit/{seq}/proof")
    assert (answer.status_code, answer.json["type"]) == (409, "urn:sifilma:problem:not-signed-yet")


def test_a_consistency_proof_needs_an_earlier_size(world: World) -> None:
    grown(world, 2, 2)
    auditor = world.client("auditor1")
    size = done(auditor.get("/audit/checkpoint"))["size"]
    assert done(auditor.get("/audit/checkpoint", since=size))["consistency"] == []
    assert len(done(auditor.get("/audit/checkpoint", since=size - 2))["consistency"]) > 0
    for wrong in (0, size + 1, "x"):
        assert auditor.get("/audit/checkpoint", since=wrong).status_code == 422


def test_an_auditor_with_a_fresh_code_verifies_the_end_of_the_log(world: World) -> None:
    grown(world, 20)
    assert done(world.client("auditor1").get("/audit/verification"))["ok"]
    stale = world.client("auditor1", fresh=False).get("/audit/verification")
    assert (stale.status_code, stale.json["type"]) == (403, "urn:sifilma:problem:step-up-required")
    assert world.client("operator1").get("/audit/verification").status_code == 403
    as_superuser(world, "UPDATE audit_entry SET ip = 'x' WHERE id = (SELECT entry_id FROM log_leaf WHERE seq = 15)")
    found = done(world.client("auditor1").get("/audit/verification", newest=100))
    assert (found["ok"], [(one["fault"], one["seq"]) for one in found["findings"]]) == (False, [("edited", 15)])


def test_the_commands_verify_the_log_and_fail_with_a_named_fault(world: World) -> None:
    grown(world, 5)
    runner = world.app.test_cli_runner()
    kept = world.settings.home / "kept.txt"
    kept.write_text(runner.invoke(args=["audit", "checkpoint"]).output)
    assert note.claim(kept.read_text()).size > 5
    whole = runner.invoke(args=["audit", "verify", "--checkpoint", str(kept)])
    assert (whole.exit_code, whole.output.count("checkpoint")) == (0, 1)
    as_superuser(world, "DELETE FROM log_leaf WHERE seq > 5", "DELETE FROM log_checkpoint")
    (world.settings.trust / "log-checkpoint.txt").unlink()
    broken = runner.invoke(args=["audit", "verify", "--checkpoint", str(kept)])
    assert broken.exit_code == 1
    assert "cut: the log ends after 6 entries" in broken.output
    assert "inserted: entry" in broken.output  # entries whose places were cut off


def test_a_document_names_the_log_of_its_time_and_stays_the_same(world: World) -> None:
    office, operator = world.client("magetan.kepala"), world.client("operator1")
    body = {"to": str(world.organisation_of("magetan.kepala"))}
    first = done(operator.post("/handovers", body | {"cards": world.personalised()}), 201)["id"]
    before = operator.get(f"/handovers/{first}/document").data
    assert "belum ada yang ditandatangani" in pdf_text(before)
    sequence(world)
    world.clock.advance(seconds=checkpoints.SETTLED.total_seconds() + 1)
    second = done(operator.post("/handovers", body | {"cards": world.personalised()}), 201)["id"]
    said = note.claim(newest_note(world))
    paper = operator.get(f"/handovers/{second}/document").data
    assert f"{said.size} entri" in pdf_text(paper)
    assert done(office.get("/audit/checkpoint"))["root"] in pdf_text(paper)
    world.clock.advance(seconds=timedelta(hours=1).total_seconds())
    sequence(world)
    operator = world.client("operator1")
    assert operator.get(f"/handovers/{second}/document").data == paper
    assert operator.get(f"/handovers/{first}/document").data == before
