"""A mailbox as a witness: what was sent comes back from saved messages, whatever lies beside it."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from sifilma.notifications.smtp import SmtpSender
from sifilma.witness.contract import WitnessAway, WitnessDiffers
from sifilma.witness.mail import MailWitness, SavedMail
from tests.support.witness_server import SmallLog


class Taking:
    """A mail server's handler that keeps what it is sent, or refuses it."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802  # aiosmtpd's name
        if self.answer.startswith("250"):
            self.messages.append(envelope.content)  # type: ignore[attr-defined]
        return self.answer


def message(text: str) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "a@example.org", "b@example.org", "other"
    made.set_content(text)
    return made


def test_statements_that_were_mailed_are_read_back_from_eml_and_mbox(tmp_path: Path) -> None:
    log, handler = SmallLog(), Taking()
    contents = [log.statement(1, text="x" * 5000)]
    for number in (2, 3, 4):
        contents.append(log.statement(number, contents[-1], end=number))
    server = Controller(handler, hostname="127.0.0.1", port=0)
    server.start()
    try:
        port = server.server.sockets[0].getsockname()[1]
        witness = MailWitness("saksi@example.org", SmtpSender("127.0.0.1", port, "log@example.org", "none"))
        for number, content in enumerate(contents, start=1):
            witness.append(number, content)
        witness.append(4, contents[3])
        handler.answer = "552 full"
        with pytest.raises(WitnessAway, match="did not take"):
            witness.append(5, contents[3])
    finally:
        server.stop()
    with pytest.raises(WitnessAway, match="did not take"):
        witness.append(5, contents[3])
    with pytest.raises(WitnessAway, match="cannot be asked"):
        witness.count()
    (tmp_path / "one.eml").write_bytes(handler.messages[0])
    box = mailbox.mbox(tmp_path / "saved.mbox")
    box.lock()
    for sent in handler.messages[1:]:
        box.add(sent)
    box.add(message("> nothing of ours"))
    box.close()
    # What others write into the mailbox does not count: a statement of nobody, half a one, a reply that quotes one.
    first = handler.messages[0].decode()
    (tmp_path / "forged.eml").write_bytes(bytes(message(_armoured(SmallLog().statement(2, contents[0], end=99)))))
    (tmp_path / "half.eml").write_text(first[: len(first) // 2])
    (tmp_path / "reply.eml").write_bytes(bytes(message("\n".join(f"> {line}" for line in _armoured(contents[2]).splitlines()))))
    (tmp_path / "odd.eml").write_bytes(b"Content-Type: text/plain; charset=none-such\n\n\xff\xfe")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    saved = SavedMail(tmp_path, [log.key.public_key()])
    assert (saved.count(), saved.missing()) == (4, [])
    assert [saved.read(number) for number in (1, 2, 3, 4)] == contents
    with pytest.raises(WitnessDiffers, match="No message"):
        saved.read(5)
    (tmp_path / "one.eml").unlink()
    assert (SavedMail(tmp_path, [log.key.public_key()]).count(), SavedMail(tmp_path, [log.key.public_key()]).missing()) == (0, [1])
    (tmp_path / "two.eml").write_bytes(bytes(message(_armoured(log.statement(2, contents[0], end=7)))))
    with pytest.raises(WitnessDiffers, match="different statements 2"):
        SavedMail(tmp_path, [log.key.public_key()]).count()
    with pytest.raises(WitnessAway, match="no folder"):
        SavedMail(tmp_path / "none", []).count()


def _armoured(content: bytes) -> str:
    from sifilma.witness.mail import armoured

    return armoured(1, content)
