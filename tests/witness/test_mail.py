"""A mailbox as a witness: what was sent comes back from saved messages, whatever lies beside it."""

from __future__ import annotations

import mailbox
import shutil
from email.message import EmailMessage
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sifilma.notifications.smtp import SmtpSender
from sifilma.witness.contract import WitnessAway, WitnessDiffers
from sifilma.witness.mail import MailWitness, SavedMail, armoured, gathered
from tests.notifications.receivers import mail_server
from tests.support.witness_server import SmallLog


def message(text: str) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "a@example.org", "b@example.org", "other"
    made.set_content(text)
    return made


def test_statements_that_were_mailed_are_read_back_from_eml_and_mbox(tmp_path: Path) -> None:
    log = SmallLog()
    contents = [log.statement(1, text="x" * 5000)]
    for number in (2, 3, 4):
        contents.append(log.statement(number, contents[-1], end=number))
    with mail_server() as server:
        sender = SmtpSender("127.0.0.1", server.port, "log@example.org", "none", seconds=3)
        witness = MailWitness("saksi@example.org", sender)
        for number, content in enumerate(contents, start=1):
            witness.append(number, content)
        witness.append(4, contents[3])
        with pytest.raises(WitnessAway, match="did not take"):
            MailWitness("nobody@example.org", sender).append(5, contents[3])
    with pytest.raises(WitnessAway, match="did not take"):
        witness.append(5, contents[3])
    sent = [mail for _, mail in server.items]
    assert sent[3]["Message-ID"] == sent[4]["Message-ID"] != sent[2]["Message-ID"]
    with pytest.raises(WitnessAway, match="cannot be asked"):
        witness.count()
    (tmp_path / "one.eml").write_bytes(bytes(sent[0]))
    box = mailbox.mbox(tmp_path / "saved.mbox")
    box.lock()
    for mail in sent[1:]:
        box.add(mail)
    box.add(message("> nothing of ours"))
    box.close()
    # What others write into the mailbox does not count: a statement of nobody, half a one, a reply that quotes one.
    first = bytes(sent[0]).decode()
    (tmp_path / "forged.eml").write_bytes(bytes(message(_armoured(SmallLog().statement(2, contents[0], end=99)))))
    (tmp_path / "half.eml").write_text(first[: len(first) // 2])
    (tmp_path / "reply.eml").write_bytes(bytes(message("\n".join(f"> {line}" for line in _armoured(contents[2]).splitlines()))))
    (tmp_path / "odd.eml").write_bytes(b"Content-Type: text/plain; charset=none-such\n\n\xff\xfe")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    _require_gathered(tmp_path, log, contents, witness)


def _require_gathered(tmp_path: Path, log: SmallLog, contents: list[bytes], witness: MailWitness) -> None:
    def keys(_: bytes) -> list[ec.EllipticCurvePublicKey]:
        return [log.key.public_key()]

    saved = SavedMail(tmp_path, keys)
    assert (saved.numbers(), saved.missing()) == ([1, 2, 3, 4], [])
    assert [saved.read(number) for number in (1, 2, 3, 4)] == contents
    with pytest.raises(WitnessDiffers, match="No message"):
        saved.read(5)
    kept = gathered(tmp_path, keys, witness)
    assert [kept.read(number) for number in range(1, kept.count() + 1)] == contents
    with pytest.raises(WitnessAway, match="did not take"):  # what a reconciliation tells goes to the mailbox, as everything does
        kept.append(5, contents[3])
    assert gathered(tmp_path, keys, witness).count() == 4
    (tmp_path / "one.eml").unlink()
    assert gathered(tmp_path, keys, witness).count() == 4  # the folder has it since
    shutil.rmtree(tmp_path / "statements")
    with pytest.raises(WitnessDiffers, match="save all messages"):
        gathered(tmp_path, keys, witness)
    saved = SavedMail(tmp_path, keys)
    assert (saved.numbers(), saved.missing()) == ([2, 3, 4], [1])
    (tmp_path / "two.eml").write_bytes(bytes(message(_armoured(log.statement(2, contents[0], end=7)))))
    with pytest.raises(WitnessDiffers, match="different statements 2"):
        SavedMail(tmp_path, keys).numbers()


def test_mail_that_was_saved_nowhere_is_a_witness_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(WitnessAway, match="no folder"):
        SavedMail(tmp_path / "none", lambda _: []).numbers()


def _armoured(content: bytes) -> str:
    return armoured(1, content)
