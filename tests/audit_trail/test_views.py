"""The pages of the audit trail: filters, scope, export, one entry."""

from __future__ import annotations

from pathlib import Path

from sifilma.audit.models import Action
from sifilma.audit_trail.labels import ACTIONS
from sifilma.demo import facts
from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.transparency_log import as_superuser, sequence
from tests.support.visitor import english, one_id, words
from tests.support.world import World

_SUBMITTED = "SELECT id FROM audit_entry WHERE action = 'personalisation.submit'"


def test_every_action_has_its_words() -> None:
    assert set(ACTIONS) == {action.value for action in Action}


def test_every_action_is_recorded_somewhere_in_the_code() -> None:
    """The source names the action itself, or the verb of a request's life (`WAY.act(ctx, …, "draft")`)."""
    code = "\n".join(path.read_text() for path in Path("sifilma").rglob("*.py") if path.parts[1] != "audit")
    unused = [act for act in Action if f"Action.{act.name}" not in code and f'"{act.value.partition(".")[2]}"' not in code]
    assert [act for act in unused if act is not Action.UNIT_CHANGE] == []


def test_everybody_reads_the_entries_of_their_scope(world: World) -> None:
    world.submitted("magetan.kepala")
    world.submitted("bangli.kepala")
    for name, sees in (("auditor1", 2), ("magetan.staf", 1), ("jatim.kepala", 1), ("len.kepala", 0), ("operator1", 0)):
        page = english(world, name).text("/jejak", tindakan="personalisation.submit")
        assert page.rpartition("Object id")[2].count("Personalisation request submitted") == sees, name


def test_the_list_calls_objects_by_what_people_know_them_by(sqlite_world: World) -> None:
    ready, _ = sqlite_world.active()
    request = sqlite_world.sql("SELECT letter_number FROM activation_request")[0][0]
    for act, name in (("activation.create", ready.uids[0]), ("activation_request.submit", request), ("handover.issue", "BAST-SAM")):
        assert name in english(sqlite_world, "auditor1").text("/jejak", tindakan=act), act


def test_the_filters_narrow_the_list_and_report_wrong_values(sqlite_world: World) -> None:
    sqlite_world.submitted("magetan.kepala")
    auditor = english(sqlite_world, "auditor1")
    assert "Indah Contoh" in auditor.text("/jejak", pengguna="magetan.kepala", dari="2026-11-23", sampai="2026-11-23")
    assert "Nothing fits these filters." in auditor.text("/jejak", dari="2026-11-24")
    assert "Nothing fits these filters." in auditor.text("/jejak", sampai="2025-12-31")
    assert "Nothing fits these filters." in auditor.text("/jejak", pengguna="nobody.atall")
    assert "Nothing fits these filters." in auditor.text("/jejak", organisasi="bangli", tindakan="unit.register")
    wrong = auditor.get("/jejak", dari="kemarin")
    assert "Write the date as" in words(wrong)


def test_the_next_page_continues_at_the_same_cost(sqlite_world: World) -> None:
    for who in ("magetan.kepala", "bangli.kepala", "mandiri.kepala"):
        client = sqlite_world.client(who)
        for _ in range(10):  # as many as are recorded of one kind
            client.get("/units/00000000-0000-7000-8000-000000000000")
    auditor = english(sqlite_world, "auditor1")
    with sqlite_world.app.app_context(), counted(db.engine) as found:
        page = auditor.get("/jejak").get_data(as_text=True)
    assert len(found.statements) <= 8, found.statements
    cursor = page.partition("cursor=")[2].partition('"')[0]
    assert cursor
    older = auditor.get("/jejak", cursor=cursor).get_data(as_text=True)
    first = page.partition("/jejak/0")[2][:40]
    assert first
    assert f"/jejak/0{first}" not in older


def test_an_entry_shows_its_facts_and_links_to_its_object(world: World) -> None:
    sent = world.submitted("magetan.kepala")
    entry = one_id(world, _SUBMITTED)
    text = english(world, "auditor1").text(f"/jejak/{entry}")
    for said in ("Personalisation request submitted", "Indah Contoh", facts.MAGETAN, sent["digest"], "Digest of what was seen"):
        assert said in text
    assert english(world, "bangli.kepala").get(f"/jejak/{entry}").status_code == 404
    listed = english(world, "auditor1").text("/jejak", objek=sent["id"])
    assert "Personalisation request drafted" in listed


def test_an_export_needs_its_own_permission_and_an_auditors_fresh_code(sqlite_world: World) -> None:
    sqlite_world.submitted("magetan.kepala")
    started = english(sqlite_world, "auditor1").get("/jejak", unduh="csv", tindakan="personalisation.submit")
    assert started.status_code == 303
    address = started.headers["Location"]
    csv = english(sqlite_world, "auditor1").get(address).get_data(as_text=True)
    assert "magetan.kepala" in csv
    assert csv.count("\n") == 2
    assert english(sqlite_world, "auditor1", fresh=False).get(address).status_code == 403
    assert english(sqlite_world, "operator1").get(address).status_code == 403
    assert "CSV" not in english(sqlite_world, "operator1").text("/jejak")
    assert english(sqlite_world, "magetan.kepala", fresh=False).get(address).status_code == 200


def test_an_entry_shows_its_place_and_its_proof_once_signed(sqlite_world: World) -> None:
    sqlite_world.submitted("magetan.kepala")
    path = f"/jejak/{one_id(sqlite_world, _SUBMITTED)}"
    assert "no signed place yet" in english(sqlite_world, "auditor1").text(path)
    sequence(sqlite_world)
    text = english(sqlite_world, "magetan.kepala").text(path)
    assert "Proven: the entry is in the log as it was signed." in text
    as_superuser(sqlite_world, "UPDATE audit_entry SET object_id = 'x' WHERE action = 'personalisation.submit'")
    assert "The proof does not hold" in english(sqlite_world, "auditor1").text(path)


def test_an_auditor_with_a_fresh_code_verifies_the_log_on_the_page(sqlite_world: World) -> None:
    sqlite_world.submitted("magetan.kepala")
    sequence(sqlite_world)
    assert "The log is what was signed" in _verified(sqlite_world)
    for stale in (english(sqlite_world, "auditor1", fresh=False), english(sqlite_world, "operator1")):
        assert stale.get("/jejak/periksa").status_code == 403
        assert stale.send("/jejak/periksa").status_code == 403
    as_superuser(sqlite_world, "UPDATE audit_entry SET action = 'unit.change' WHERE action = 'personalisation.submit'")
    assert "The log is not what was signed" in _verified(sqlite_world)


def test_the_page_of_the_verification_reads_no_entry_before_it_is_asked_to(sqlite_world: World) -> None:
    sqlite_world.submitted("magetan.kepala")
    auditor = english(sqlite_world, "auditor1")
    assert "Nothing has been signed yet" in auditor.text("/jejak/periksa")
    sequence(sqlite_world)
    as_superuser(sqlite_world, "UPDATE audit_entry SET action = 'unit.change' WHERE action = 'personalisation.submit'")
    text = auditor.text("/jejak/periksa")
    assert ("Newest checkpoint" in text, "Verify now" in text, "what was signed" in text) == (True, True, False)


def _verified(world: World) -> str:
    """Press the button of the verification as an auditor; return the page."""
    return words(english(world, "auditor1").send("/jejak/periksa"))


def test_the_entry_of_an_activation_links_to_its_page_for_whoever_may_open_it(world: World) -> None:
    _, answers = world.active()
    page = f"/aktivasi/riwayat/{answers[0]['id']}"
    entry = one_id(world, "SELECT id FROM audit_entry WHERE action = 'activation.create'")
    for name in ("auditor1", "magetan.kepala"):
        reader = english(world, name)
        assert f'href="{page}"' in reader.get(f"/jejak/{entry}").get_data(as_text=True), name
        assert reader.get(page).status_code == 200, name
    province = english(world, "jatim.kepala").get(f"/jejak/{entry}")  # a province reads the entry but may not open the page
    assert (province.status_code, page in province.get_data(as_text=True)) == (200, False)
