"""Each sender against a real receiver on 127.0.0.1."""

from __future__ import annotations

import pytest
from smpplib import consts

from sifilma.notifications.contract import Fault, Letter, SendFailed
from sifilma.notifications.smpp import SmppSender
from sifilma.notifications.smtp import SmtpSender
from sifilma.notifications.webhook import WebhookSender
from tests.notifications import receivers
from tests.support.servers import free_port

LETTER = Letter("0190-key", "indah@contoh.example", "Kode SI-FILMA", "Kode Anda 123456 – berlaku 5 menit")


def test_mail_arrives_completely_and_a_repetition_is_recognisable() -> None:
    with receivers.mail_server() as server:
        reference = SmtpSender("127.0.0.1", server.port, "sifilma@contoh.example", "none").send(LETTER)
    to, message = server.items[0]
    assert (to, message["Subject"], message["Message-ID"]) == ([LETTER.to], LETTER.subject, reference)
    assert message.get_payload(decode=True).decode().strip() == LETTER.text
    assert LETTER.key in reference


@pytest.mark.parametrize(("answer", "for_good"), [("550 no such mailbox", True), ("451 try later", False)])
def test_a_refused_address_is_permanent_only_if_the_server_says_so(answer: str, for_good: bool) -> None:
    with receivers.mail_server(answer) as server, pytest.raises(SendFailed) as failed:
        SmtpSender("127.0.0.1", server.port, "sifilma@contoh.example", "none").send(Letter("k", "nobody@contoh.example", "s", "t"))
    assert failed.value.for_good is for_good
    assert (failed.value.fault, str(failed.value)) == (Fault.MAIL_ADDRESS_REFUSED, f"mail-address-refused: {answer[:3]}")


def test_a_mail_server_without_tls_is_not_used_where_tls_is_required() -> None:
    with receivers.mail_server() as server, pytest.raises(SendFailed):
        SmtpSender("127.0.0.1", server.port, "sifilma@contoh.example", "starttls").send(LETTER)
    assert server.items == []


def test_an_sms_arrives_with_our_sender_name() -> None:
    text = Letter("k", "+628120000001", "", "Kode SI-FILMA: 123456")
    with receivers.sms_centre() as centre:
        reference = SmppSender("127.0.0.1", centre.port, "sifilma", "secret", "KEMENDAGRI").send(text)
    event = centre.items[0]
    assert (event.source_addr, event.destination_addr, reference) == ("KEMENDAGRI", "628120000001", "id-1")
    assert bytes(event.short_message).decode("ascii") == text.text


def test_a_long_sms_is_sent_in_parts() -> None:
    with receivers.sms_centre() as centre:
        SmppSender("127.0.0.1", centre.port, "sifilma", "secret", "KEMENDAGRI").send(Letter("k", "+628120000001", "", "a" * 400))
    assert len(centre.items) == 3


@pytest.mark.parametrize(("status", "for_good"), [(consts.SMPP_ESME_RINVDSTADR, True), (consts.SMPP_ESME_RTHROTTLED, False)])
def test_a_number_unknown_to_the_centre_is_not_retried(status: int, for_good: bool) -> None:
    with receivers.sms_centre(status) as centre, pytest.raises(SendFailed) as failed:
        SmppSender("127.0.0.1", centre.port, "sifilma", "secret", "KEMENDAGRI").send(Letter("k", "+62812", "", "t"))
    assert (failed.value.for_good, failed.value.fault) == (for_good, Fault.SMS_REFUSED)


def test_a_gateway_receives_the_idempotency_key_and_the_token() -> None:
    with receivers.gateway() as server:
        assert WebhookSender(f"http://127.0.0.1:{server.port}/send", "t0ken").send(LETTER) == "wa-1"
    headers, body = server.items[0]
    assert body == {"to": LETTER.to, "text": LETTER.text}
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer t0ken", LETTER.key)


@pytest.mark.parametrize(("status", "for_good"), [(422, True), (429, False), (503, False)])
def test_a_refusal_of_a_gateway_is_retried_only_if_that_can_help(status: int, for_good: bool) -> None:
    with receivers.gateway(status) as server, pytest.raises(SendFailed) as failed:
        WebhookSender(f"http://127.0.0.1:{server.port}/send", "t").send(LETTER)
    assert (failed.value.for_good, str(failed.value)) == (for_good, f"gateway-refused: {status}")


def test_an_unreachable_receiver_is_a_temporary_failure() -> None:
    port = free_port()
    senders = (
        (SmtpSender("127.0.0.1", port, "a@b.example", "none"), Fault.MAIL_UNREACHABLE),
        (SmppSender("127.0.0.1", port, "s", "p", "N"), Fault.SMS_UNREACHABLE),
        (WebhookSender(f"http://127.0.0.1:{port}/", "t"), Fault.GATEWAY_UNREACHABLE),
    )
    for sender, fault in senders:
        with pytest.raises(SendFailed) as failed:
            sender.send(LETTER)
        assert (failed.value.for_good, failed.value.fault) == (False, fault)
