"""The pages for messages: heads and administrators see the state of each message; nobody sees its text."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask_babel import force_locale

from sifilma.kernel.db import db
from sifilma.messages import pages
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel, Fault, SendFailed
from sifilma.notifications.delivery import deliver
from sifilma.notifications.outbox import Recipient
from tests.notifications import receivers
from tests.support.counting import counted
from tests.support.servers import free_port
from tests.support.visitor import Visitor
from tests.support.world import World

TO, TEXT = "+628120000123", "Isi yang tidak dibaca siapa pun"


def write(world: World, username: str, purpose: str = "reminder", text: str = TEXT, **more: Any) -> str:
    """Write a message to a user; return its id."""
    with world.context() as ctx:
        message = outbox.enqueue(ctx, world.settings, Recipient(Channel.SMS, TO, world.users[username]), purpose, "", text, **more)
        return str(message.id)


def deliver_by(world: World, port: int) -> int:
    return deliver(world.context, world.settings.model_copy(update={"sms_webhook_url": f"http://127.0.0.1:{port}/"}))


def listed(world: World, who: str, **query: str) -> str:
    """Return the words of the list as a user sees it."""
    visitor = Visitor(world, who)
    visitor.get("/pesan", **query)
    return visitor.seen


def test_the_list_shows_the_state_of_a_message_but_not_its_text(world: World) -> None:
    write(world, "magetan.staf")
    assert "Menunggu giliran" in listed(world, "magetan.kepala")
    deliver_by(world, free_port())
    seen = listed(world, "magetan.kepala")
    assert "Gagal, akan dicoba lagi" in seen
    assert "Gerbang SMS tidak dapat dihubungi." in seen
    world.clock.advance(seconds=6)
    with receivers.gateway() as server:
        deliver_by(world, server.port)
    seen = listed(world, "admin1")
    assert "+62••••••123 Pengingat SMS Terkirim 2" in seen
    assert TEXT not in seen
    assert TO not in seen


def test_every_fault_has_a_text_in_both_languages_and_unknown_text_is_shown_as_it_is(sqlite_world: World) -> None:
    shown: dict[str, set[str]] = {}
    for language in ("en", "id"):
        with sqlite_world.app.test_request_context(), force_locale(language):
            shown[language] = {pages.reason(str(SendFailed(fault, detail))) for fault in Fault for detail in ("", "ConnectError")}
            assert pages.reason("planted: something else") == "planted: something else"
    assert set(pages.REASONS) == set(Fault)
    assert {len(texts) for texts in shown.values()} == {len(Fault)}
    assert shown["en"].isdisjoint(shown["id"])


def test_heads_see_messages_to_their_own_people_and_others_see_none(sqlite_world: World) -> None:
    write(sqlite_world, "magetan.staf")
    write(sqlite_world, "operator1")
    assert "Belum ada pesan." in listed(sqlite_world, "bangli.kepala")
    assert "••••••123" in listed(sqlite_world, "magetan.kepala")
    assert listed(sqlite_world, "admin1").count("••••••123 ") >= 2
    for name in ("magetan.staf", "operator1", "penyetuju1", "auditor1"):
        assert Visitor(sqlite_world, name).get("/pesan").status_code == 403


def test_a_failed_message_is_sent_again_and_this_is_recorded(world: World) -> None:
    message = write(world, "magetan.staf")
    head = Visitor(world, "magetan.kepala")
    with receivers.gateway(422) as server:
        deliver_by(world, server.port)
    assert "Gagal dikirim" in listed(world, "magetan.kepala", state="failed")
    assert head.send(f"/pesan/{message}/ulang").status_code == 303
    assert head.send(f"/pesan/{message}/ulang").status_code == 409  # the message already waits
    with receivers.gateway() as server:
        assert deliver_by(world, server.port) == 1
    assert server.items[0][1] == {"to": TO, "text": f"UJI: {TEXT}"}
    assert head.send(f"/pesan/{message}/ulang").status_code == 409
    [(owner, data)] = world.sql("SELECT object_id, data FROM audit_entry WHERE action = 'message.send_again'")
    assert owner == message
    assert TO not in str(data)
    assert world.sql("SELECT length(sealed) FROM outbox_message") == [(0,)]


def test_a_late_message_may_be_sent_again_but_not_a_code(world: World) -> None:
    message, code = write(world, "magetan.staf"), write(world, "magetan.staf", "code", "Kode 424242", lapse=timedelta(minutes=5))
    world.clock.advance(days=3)
    deliver_by(world, free_port())
    seen = listed(world, "magetan.kepala", state="lapsed")
    assert seen.count("Tidak sempat terkirim dalam batas waktunya.") == 2
    assert seen.count("Kirim ulang") == 1
    head = Visitor(world, "magetan.kepala")
    assert (head.send(f"/pesan/{code}/ulang").status_code, head.send(f"/pesan/{message}/ulang").status_code) == (409, 303)
    assert "424242" not in listed(world, "magetan.kepala")


def test_a_message_outside_ones_scope_is_not_found(sqlite_world: World) -> None:
    message = write(sqlite_world, "magetan.staf")
    assert Visitor(sqlite_world, "bangli.kepala").send(f"/pesan/{message}/ulang").status_code == 404
    assert Visitor(sqlite_world, "operator1").send(f"/pesan/{message}/ulang").status_code == 403


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"nama": "magetan"}, 1),
        ({"nama": "xyz"}, 0),
        ({"state": "queued"}, 2),
        ({"state": "sent"}, 0),
        ({"jenis": "code"}, 1),
        ({"saluran": "email"}, 0),
    ],
)
def test_the_list_is_filtered(sqlite_world: World, query: dict[str, str], found: int) -> None:
    write(sqlite_world, "magetan.staf")
    write(sqlite_world, "bangli.kepala", "code")
    assert listed(sqlite_world, "admin1", **query).count("••••••123 ") == found


def test_the_file_equals_the_page_and_the_page_needs_few_statements(sqlite_world: World) -> None:
    for _ in range(30):
        write(sqlite_world, "magetan.staf")
    visitor = Visitor(sqlite_world, "admin1")
    text = visitor.get("/pesan", unduh="csv").get_data(as_text=True)
    assert text.count("+62••••••123") == 30
    assert TEXT not in text
    with sqlite_world.app.app_context(), counted(db.engine) as seen:
        page = visitor.get("/pesan").get_data(as_text=True)
    assert page.count("<tr>") == 26
    assert len(seen.statements) <= 6, seen.statements


def test_the_profile_shows_the_state_of_the_last_code_and_message(sqlite_world: World) -> None:
    write(sqlite_world, "magetan.staf", "code")
    write(sqlite_world, "magetan.staf")
    visitor = Visitor(sqlite_world, "magetan.staf")
    visitor.get("/profil")
    assert "Kode terakhir +62••••••123 · 23 Nov 2026 10.00 WIB · Menunggu giliran" in visitor.seen
    assert "Pesan terakhir +62••••••123" in visitor.seen
