"""Refusals by the database and changes that somebody else made first: the form keeps its input and gives a reason."""

from __future__ import annotations

import io

from sifilma.demo.sample_files import photo
from sifilma.kernel.db import db
from tests.support.visitor import Visitor, one_id, value_of
from tests.support.world import World

REFUSES = {
    "sqlite": "SELECT RAISE(ABORT, 'planted');",
    "postgresql": "RAISE EXCEPTION 'planted' USING ERRCODE = 'integrity_constraint_violation';",
}
NOTHING_CHANGES = {"sqlite": "SELECT RAISE(IGNORE);", "postgresql": "RETURN NULL;"}
CONTRADICTS = "Basis data menolak: hal ini bertentangan dengan data yang tercatat."
QUICKER = "Orang lain baru saja mengubah ini. Periksa kembali."


def plant(world: World, event: str, table: str, does: dict[str, str]) -> None:
    """Create a trigger for this test."""
    with world.app.app_context(), db.engine.begin() as connection:
        kind = connection.dialect.name
        if kind == "sqlite":
            connection.exec_driver_sql(f"CREATE TRIGGER planted BEFORE {event} ON {table} BEGIN {does[kind]} END")
            return
        body = f"BEGIN {does[kind]} RETURN NEW; END"
        connection.exec_driver_sql(f"CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        connection.exec_driver_sql(f"CREATE TRIGGER planted BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION planted()")


def test_a_form_refused_by_a_trigger_keeps_its_input(world: World) -> None:
    plant(world, "INSERT", "unit", REFUSES)
    visitor = Visitor(world, "magetan.kepala")
    answer = visitor.send("/unit/daftar", hardware_number="HW-TIDAK-HILANG", model="LEN-ENC-1", function="RW")
    assert (answer.status_code, value_of(answer, "hardware_number")) == (409, "HW-TIDAK-HILANG")
    assert CONTRADICTS in visitor.seen
    assert world.sql("SELECT count(*) FROM unit WHERE hardware_number = 'HW-TIDAK-HILANG'") == [(0,)]


def test_a_form_refused_at_the_last_row_of_its_act_keeps_its_input(world: World) -> None:
    [uid] = world.received()
    plant(world, "INSERT", "card_photo", REFUSES)
    visitor = Visitor(world, "magetan.kepala")
    sent = (io.BytesIO(photo(16, 12)[1]), "foto.png")
    answer = visitor.send(f"/kartu/{uid}/lapor", condition="damaged", note="retak di tepi kiri", photos=sent)
    assert (answer.status_code, "retak di tepi kiri" in answer.get_data(as_text=True)) == (409, True)
    assert CONTRADICTS in visitor.seen
    assert world.sql("SELECT state FROM card") == [("received",)]


def test_the_slower_of_two_users_keeps_their_note_and_is_told(world: World) -> None:
    request = world.submitted()["id"]
    plant(world, "UPDATE", "personalisation_request", NOTHING_CHANGES)
    visitor = Visitor(world, "penyetuju1")
    answer = visitor.send(f"/personalisasi/{request}/tolak", note="Alasan yang panjang.")
    assert (answer.status_code, "Alasan yang panjang." in answer.get_data(as_text=True)) == (409, True)
    assert QUICKER in visitor.seen
    assert world.sql("SELECT state FROM personalisation_request") == [("submitted",)]


def test_a_refusal_outside_a_form_is_a_page_with_a_reason(world: World) -> None:
    visitor = Visitor(world, "magetan.kepala")
    session = one_id(world, "SELECT s.id FROM login_session s JOIN user_account u ON u.id = s.user_id WHERE u.username = 'magetan.kepala'")
    plant(world, "UPDATE OF ended_at", "login_session", REFUSES)
    answer = visitor.send(f"/sesi/{session}/akhiri")
    assert (answer.status_code, answer.mimetype) == (409, "text/html")
    assert CONTRADICTS in visitor.seen
    assert "Magetan" in visitor.seen, "the page knows who is there"
