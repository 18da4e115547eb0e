"""What is kept for how long: rows that go by themselves, and people who have left."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.app.leavers import hashed, pseudonymise_leavers
from sifilma.app.retention import RULES, forget_old
from sifilma.fsck.run import examine
from sifilma.resources import resources
from sifilma.schema.tables import METADATA
from tests.accounts.test_people import invited, taken_up
from tests.cards.test_proposals import new_jwk
from tests.fsck.conftest import installation
from tests.sign_in.test_codes import password_step
from tests.support.visitor import english
from tests.support.world import World, done

_KEPT = """
    access_review access_review_line account_consent activation activation_approval activation_request activation_tally
    activation_request_card agreement api_key assignment audit_entry audit_pending batch_row blank_card blank_delivery
    card card_photo card_report card_tally card_tally_change card_uid
    card_suspension clock_stop conversation_attachment conversation_message
    data_key destruction destruction_approval destruction_card destruction_photo discrepancy discrepancy_card discrepancy_signatory
    destruction_witness device_model digest document document_counter dormant_mark field_note free_unit handover handover_card
    handover_signatory head_succession heartbeat history invitation issued_paper issuer_code job job_line job_part job_row log_checkpoint
    log_cosignature log_leaf log_node log_standing
    manifest model_case model_case_approval model_certificate organisation outlet passed_work passkey person
    personalisation_approval personalisation_closing personalisation_replaced personalisation_request personalisation_result
    place_suspension published_status_list published_trust stored_file stored_part own_file own_file_rows own_file_part
    reader_change reader_tally recovery_code stage_calendar stage_tally token_issue
    open_question reconciliation reserved_number status_beyond witness_statement
    reference_change region region_source reissue reissue_card revocation row_digest row_finding row_round status_list token trusted_time
    unit unit_correction unit_key unit_key_change user_account user_change user_role work_run
"""
KEPT = frozenset(_KEPT.split())
"""Tables of which nothing is deleted by its age. A new table is named here or has a rule."""


def forgotten(world: World) -> int:
    with world.context() as ctx:
        return forget_old(ctx, world.settings, resources(world.app).files)


def test_each_table_is_kept_or_has_a_rule() -> None:
    ruled = {rule.key.class_.__tablename__ for rule in RULES}
    assert set(METADATA.tables) == KEPT | ruled
    assert not ruled & KEPT


def test_what_is_old_goes_and_the_last_sign_in_stays(world: World) -> None:
    password_step(world, "magetan.kepala")  # a sign-in that was never completed
    world.anonymous().post("/session", {"username": "magetan.kepala", "password": "salah"})
    world.client("magetan.staf"), world.client("magetan.kepala")
    unit = {"hardware_number": "HW-1", "model": "LEN-CRD-1", "function": "R"}
    done(world.client("magetan.kepala").post("/units", unit, Idempotency_Key="k"), 201)
    world.clock.advance(days=6)
    world.client("magetan.kepala")
    assert forgotten(world) == 2  # the failures of a password, of the name and of the network
    world.clock.advance(days=2)
    assert forgotten(world) == 1  # the idempotency key
    world.clock.advance(days=391)
    assert forgotten(world) == 0
    world.clock.advance(days=2)
    assert forgotten(world) == 3  # of the head's four sessions the newest stays, and the only one of the staff
    assert world.sql("SELECT COUNT(*) FROM login_session") == [(2,)]
    assert forgotten(world) == 0
    world.configure(keep_sessions_days=0)


def left(world: World, username: str, days: int) -> None:
    head = world.client("magetan.kepala")
    done(head.post(f"/users/{world.users[username]}/changes", {"change": "disable"}))
    world.clock.advance(days=days)


def pseudonymised(world: World) -> int:
    with world.context() as ctx:
        return pseudonymise_leavers(ctx, world.settings)


def test_who_has_left_for_long_gets_a_pseudonym_everywhere_and_for_good(world: World) -> None:
    world.change_account("magetan.staf", email="joko@contoh.example", phone="+628120000001")
    done(world.client("magetan.staf").post("/units", {"hardware_number": "HW-1", "model": "LEN-CRD-1", "function": "R"}), 201)
    [(person, identity)] = world.sql("SELECT id, identity FROM person WHERE name = 'Joko Contoh'")
    left(world, "magetan.staf", 1826)
    runner = world.app.test_cli_runner()
    shown = runner.invoke(args=["users", "retention", "--dry-run"]).output
    assert "Joko Contoh: magetan.staf" in shown
    assert "1 persons would be given a pseudonym" in shown
    assert (pseudonymised(world), pseudonymised(world)) == (1, 0)
    pseudonym = hashed(world.settings, UUID(str(person)), identity)
    query = "SELECT p.name, p.identity, u.username, u.email, u.phone, u.state FROM person p JOIN user_account u ON u.person_id = p.id"
    [row] = world.sql(f"{query} WHERE p.pseudonym_act_id IS NOT NULL")
    assert tuple(row) == (f"Pengguna {pseudonym[:8]}", f"former:{pseudonym}", f"former.{pseudonym[:12]}.0", "", "", "disabled")
    for path in ("/jejak", "/akses", f"/pengguna/{world.users['magetan.staf']}"):
        page = english(world, "magetan.kepala").text(path)
        assert "Joko" not in page, path
        assert "magetan.staf" not in page, path
    again = world.client("magetan.kepala").post(f"/users/{world.users['magetan.staf']}/changes", {"change": "enable"})
    assert again.status_code == 409
    with pytest.raises(DBAPIError, match="has left for good"):
        world.sql("UPDATE user_account SET state = 'invited', seal = NULL WHERE username LIKE 'former.%'")
    with pytest.raises(DBAPIError, match=r"a pseudonym stays|changed by an act only"):
        world.sql("UPDATE person SET name = 'Joko Contoh' WHERE pseudonym_act_id IS NOT NULL")
    assert [one for one in map(str, examine(installation(world)).findings) if not one.startswith("log")] == []


def test_of_one_number_that_several_rows_had_each_gets_a_pseudonym_of_its_own(world: World) -> None:
    """Invitations that nobody took up, and somebody who left, came back and left again. One that fails would hold up all others."""
    for username in ("magetan.a", "magetan.b"):
        invited(world, username=username)
        world.users[username] = UUID(str(world.sql("SELECT id FROM user_account WHERE username = :name", name=username)[0][0]))
        left(world, username, 0)
    world.clock.advance(days=1826)
    assert pseudonymised(world) == 2
    secret = invited(world, username="magetan.c")
    assert taken_up(world, secret) == 204  # the number is nobody's any more
    world.users["magetan.c"] = UUID(str(world.sql("SELECT id FROM user_account WHERE username = 'magetan.c'")[0][0]))
    left(world, "magetan.c", 1826)
    assert pseudonymised(world) == 1
    assert world.sql("SELECT COUNT(*), COUNT(DISTINCT identity) FROM person WHERE pseudonym_act_id IS NOT NULL") == [(3, 3)]


def test_nobody_gets_one_too_early_with_a_proposal_or_another_account_or_by_sql(sqlite_world: World) -> None:
    world = sqlite_world
    staff = world.client("magetan.staf")
    unit = done(staff.post("/units", {"hardware_number": "HW-1", "model": "LEN-CRD-1", "function": "R"}), 201)["id"]
    key = done(staff.post("/unit-key-changes", {"keys": [{"unit": unit, "public_jwk": new_jwk()}]}), 201)["id"]
    left(world, "magetan.staf", 1826)
    assert pseudonymised(world) == 0
    done(world.client("magetan.kepala").post(f"/unit-key-changes/{key}/reject", {"note": "terlambat"}))
    world.clock.advance(days=-1)
    assert pseudonymised(world) == 0
    with pytest.raises(DBAPIError, match=r"does not change|keeps their identity|changed by an act only"):
        world.sql("UPDATE person SET identity = 'former:x', pseudonym_act_id = (SELECT id FROM audit_entry LIMIT 1)")
    world.clock.advance(days=1)
    world.sql(
        "INSERT INTO user_change (id, user_id, change, roles, reason, proposed_by_person, proposed_at, state, revision, changed_at,"
        " change_note, act_id) SELECT :id, u.id, 'disable', '', '', u.person_id, :at, 'proposed', 1, :at, '', e.id"
        " FROM user_account u, audit_entry e"
        " WHERE u.username = 'magetan.staf' AND e.action = 'user.disable'",
        id="1" * 32,
        at="2031-11-23 00:00:00.000000",
    )
    assert pseudonymised(world) == 0
    world.configure(person_retention_days=0)
    assert pseudonymised(world) == 0
    assert world.app.test_cli_runner().invoke(args=["users", "retention"]).exit_code == 1
