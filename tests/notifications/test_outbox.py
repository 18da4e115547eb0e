"""The outbox on both databases: a message is written with its act, sent once, retried, and its text deleted."""

from __future__ import annotations

from datetime import timedelta
from email import policy
from email.parser import BytesParser
from typing import Any

import pytest
from structlog.testing import capture_logs

from sifilma.app.worker_commands import run_job
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.delivery import deliver
from sifilma.notifications.outbox import Recipient
from tests.notifications import receivers
from tests.support.servers import free_port
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import World

TO = Recipient(Channel.SMS, "+628120000123")


def write(world: World, text: str = "Kode 424242", **more: Any) -> None:
    with world.context() as ctx:
        outbox.enqueue(ctx, world.settings, TO, "code", "", text, **more)


def state(world: World) -> tuple[str, int, int]:
    """Return state, number of tries, and the stored bytes of the text."""
    row = world.sql("SELECT state, tries, length(sealed) FROM outbox_message")[0]
    return row[0], row[1], row[2]


def by_gateway(world: World, port: int, **more: Any) -> int:
    settings = world.settings.model_copy(update={"sms_webhook_url": f"http://127.0.0.1:{port}/"})
    return deliver(world.context, settings, **more)


def test_a_message_is_sent_once_and_its_text_is_deleted(world: World) -> None:
    write(world)
    assert b"424242" not in bytes(world.sql("SELECT sealed FROM outbox_message")[0][0])
    with receivers.gateway() as server:
        assert (by_gateway(world, server.port), by_gateway(world, server.port)) == (1, 0)
    assert server.items[0][1] == {"to": TO.address, "text": "UJI: Kode 424242"}
    assert state(world) == ("sent", 1, 0)
    assert world.sql("SELECT shown_to, reference FROM outbox_message") == [("+62••••••123", "wa-1")]


def test_a_message_of_a_rolled_back_act_is_not_sent(world: World) -> None:
    def fail() -> None:
        with world.context() as ctx:
            outbox.enqueue(ctx, world.settings, TO, "code", "", "t")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with receivers.gateway() as server:
        assert by_gateway(world, server.port) == 0
    assert server.items == []


def test_an_unavailable_receiver_is_retried_at_growing_intervals(world: World) -> None:
    write(world)
    port = free_port()
    assert (by_gateway(world, port), state(world)[:2]) == (0, ("queued", 1))
    assert (by_gateway(world, port), state(world)[:2]) == (0, ("queued", 1))  # the next try is not due yet
    world.clock.advance(seconds=6)
    by_gateway(world, port)
    assert state(world)[:2] == ("queued", 2)
    world.clock.advance(seconds=11)
    with receivers.gateway() as server:
        assert by_gateway(world, server.port) == 1
    assert state(world) == ("sent", 3, 0)


def test_mail_of_practice_says_so_in_subject_and_text(sqlite_world: World) -> None:
    with sqlite_world.context() as ctx:
        outbox.enqueue(ctx, sqlite_world.settings, Recipient(Channel.EMAIL, "indah@contoh.example"), "reminder", "Pengingat", "Isi.")
    with receivers.mail_server() as server:
        changes = {"env": "training", "smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none"}
        assert deliver(sqlite_world.context, sqlite_world.settings.model_copy(update=changes)) == 1
    mail = BytesParser(policy=policy.default).parsebytes(server.items[0][1].as_bytes())
    assert mail["Subject"] == "[LATIHAN] Pengingat"
    assert mail.get_content().replace("\r", "").startswith("LATIHAN — bukan sistem resmi\n\nIsi.")


def test_a_permanent_refusal_is_not_retried(world: World) -> None:
    write(world)
    with receivers.gateway(422) as server:
        by_gateway(world, server.port)
    assert state(world) == ("failed", 1, 0)
    assert world.sql("SELECT last_error FROM outbox_message")[0][0] == "gateway-refused: 422"


def test_an_unusable_address_fails_for_good_and_does_not_delay_other_messages(world: World) -> None:
    with world.context() as ctx:
        for address in ("indah@contoh.example\r\nBcc: semua@contoh.example", "indah@contoh.example"):
            outbox.enqueue(ctx, world.settings, Recipient(Channel.EMAIL, address), "reminder", "s", "t")
    with receivers.mail_server() as server:
        settings = world.settings.model_copy(update={"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none"})
        assert deliver(world.context, settings) == 1
    assert [to for to, _ in server.items] == [["indah@contoh.example"]]
    assert world.sql("SELECT state, last_error FROM outbox_message ORDER BY id") == [
        ("failed", "unsendable: ValueError"),
        ("sent", ""),
    ]


def test_a_message_that_cannot_be_decrypted_waits_and_does_not_delay_others(world: World) -> None:
    write(world)
    world.sql("UPDATE outbox_message SET sealed = :other", other=b"sealed under another key, long ago")
    write(world)
    with receivers.gateway() as server:
        assert by_gateway(world, server.port) == 1
    assert world.sql("SELECT state, tries, last_error FROM outbox_message ORDER BY id") == [
        ("queued", 1, "key-changed"),
        ("sent", 1, ""),
    ]


def test_slow_receivers_delay_a_round_only_briefly(sqlite_world: World) -> None:
    for _ in range(3):
        write(sqlite_world)
    with receivers.gateway(after=0.3) as server:
        assert by_gateway(sqlite_world, server.port, seconds=0.1) == 1
        left = sqlite_world.sql("SELECT state, tries FROM outbox_message WHERE state <> 'sent'")
        assert left == [("queued", 0), ("queued", 0)], "not taken, so nobody has to wait for a lease"
        assert by_gateway(sqlite_world, server.port) == 2


def test_the_worker_survives_an_unexpected_exception_of_a_job() -> None:
    def broken() -> int:
        raise ZeroDivisionError("planted")

    with capture_logs() as logs:
        assert (run_job("broken", broken), run_job("whole", lambda: 7)) == (None, 7)
    [told] = logs
    assert (told["event"], told["job"], type(told["exc_info"])) == ("job_failed", "broken", ZeroDivisionError)


def test_an_expired_code_is_not_sent(world: World) -> None:
    write(world, lapse=timedelta(minutes=5))
    world.clock.advance(minutes=6)
    with receivers.gateway() as server:
        by_gateway(world, server.port)
    assert (server.items, state(world)) == ([], ("lapsed", 1, 0))


def test_a_message_for_a_disabled_channel_fails_visibly(world: World) -> None:
    write(world)
    deliver(world.context, world.settings)
    assert world.sql("SELECT state, last_error FROM outbox_message") == [("failed", "channel-off")]


def test_a_sender_that_died_is_replaced_after_its_lease(world: World) -> None:
    write(world)
    with world.context() as ctx:
        assert [outbox.take(ctx, message) for message in outbox.due(ctx)] == [True]  # the sender dies here
    with receivers.gateway() as server:
        assert by_gateway(world, server.port) == 0
        world.clock.advance(seconds=61)
        assert by_gateway(world, server.port) == 1


def test_two_senders_never_take_the_same_message(postgresql_world: World) -> None:
    for _ in range(8):
        write(postgresql_world)
    with receivers.gateway() as server:
        counts = run_simultaneously([lambda: by_gateway(postgresql_world, server.port)] * 4)
    assert (sum(counts), len(server.items)) == (8, 8)


def test_addresses_are_shown_masked() -> None:
    assert outbox.masked("indah.contoh@contoh.go.id") == "i•••h@contoh.go.id"
    assert outbox.masked("+6281234567890") == "+62••••••890"
