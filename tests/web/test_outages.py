"""Forms during an outage of HSM or database: the input is kept, and the form succeeds after the outage."""

from __future__ import annotations

import re
import time
from typing import Any

from sqlalchemy import text

from sifilma.kernel.db import db
from tests.activation.test_views import typed
from tests.support.softhsm import SoftHSM
from tests.support.visitor import Visitor, value_of
from tests.support.world import World, new_uid

ACTIVATE = "/aktivasi/kartu"


def send_until_available(visitor: Visitor, path: str, fields: dict[str, Any]) -> int:
    """Send a form until the outage has ended; return the last status."""
    until = time.monotonic() + 20
    while (status := visitor.send(path, **fields).status_code) == 503 and time.monotonic() < until:
        time.sleep(0.3)
    return status


def test_the_activation_form_keeps_its_input_while_the_hsm_is_away(world: World, softhsm: SoftHSM) -> None:
    ready, visitor = world.ready(), Visitor(world, "magetan.kepala")
    fields = typed(ready, ready.uids[0], address="Jalan Yang Panjang 17")
    with softhsm.away():
        answer = visitor.send(ACTIVATE, **fields)
    assert (answer.status_code, int(answer.headers["Retry-After"]) >= 1) == (503, True)
    assert "HSM saat ini tidak tersedia" in visitor.seen
    assert "Isian Anda masih ada di sini: kirim ulang sebentar lagi." in visitor.seen
    assert ("Jalan Yang Panjang 17" in answer.get_data(as_text=True), value_of(answer, "latitude")) == (True, fields["latitude"])
    assert world.sql("SELECT state, tries FROM token") == [("issued", 0)]
    assert send_until_available(visitor, ACTIVATE, fields) == 303


def test_the_form_of_results_keeps_its_input_while_the_hsm_is_away(sqlite_world: World, softhsm: SoftHSM) -> None:
    request = sqlite_world.submitted(function="R")["id"]
    sqlite_world.approve("personalisation-requests", request, "penyetuju1")
    visitor = Visitor(sqlite_world, "operator1")
    path, row = f"/personalisasi/{request}/hasil", {"sam_uid": new_uid(), "outcome": "personalised", "hardware_number": "", "kcv": "A1B2C3"}
    with softhsm.away():
        answer = visitor.send(path, **row)
    assert answer.status_code == 503
    assert value_of(answer, "sam_uid") == row["sam_uid"]
    assert value_of(answer, "kcv") == row["kcv"]
    assert send_until_available(visitor, path, row) == 422  # the HSM is back, and finds that the check value is not that of this card


def test_the_page_of_a_database_outage_can_send_the_form_again(postgresql_world: World) -> None:
    world = postgresql_world
    visitor = Visitor(world, "magetan.kepala")
    world.sql(
        "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'shutting down' USING ERRCODE = 'admin_shutdown'; END $$"
    )
    with world.app.app_context(), db.engine.begin() as connection:
        connection.execute(text("CREATE TRIGGER planted BEFORE INSERT ON unit FOR EACH ROW EXECUTE FUNCTION planted()"))
    fields = {"hardware_number": "HW-TIDAK-HILANG", "model": "LEN-ENC-1", "function": "RW"}
    answer = visitor.send("/unit/daftar", **fields)
    assert answer.status_code == 503
    assert "HW-TIDAK-HILANG" in answer.get_data(as_text=True)
    assert int(answer.headers["Retry-After"]) >= 1
    world.sql("DROP FUNCTION planted() CASCADE")
    again = dict(re.findall(r'name="(\w+)"[^>]*value="([^"]*)"', answer.get_data(as_text=True)))
    assert visitor.send("/unit/daftar", **fields | {"csrf_token": again["csrf_token"]}).status_code == 303
