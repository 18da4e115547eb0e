"""A mailbox as a witness: each statement is a mail, which the mail server has taken when `append` returns.

Nothing can be read from a mailbox here. After a restore somebody saves the messages into a folder, and `SavedMail` reads statements from
that: .eml files and mbox files, in any order, more than once, among others.
"""

from __future__ import annotations

import base64
import binascii
import email
import hashlib
import mailbox
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from email.message import EmailMessage
from email.policy import default
from functools import cached_property
from pathlib import Path
from textwrap import wrap

from cryptography.hazmat.primitives.asymmetric import ec

from manifests import jws
from sifilma.notifications.contract import Letter, Sender, SendFailed
from sifilma.witness.contract import WitnessAway, WitnessDiffers
from sifilma.witness.folder import FolderWitness
from sifilma.witness.statements import StatementRefused, claim, verify

KeysOf = Callable[[bytes], Iterable[ec.EllipticCurvePublicKey]]
BEGIN, END = "-----BEGIN SIFILMA STATEMENT-----", "-----END SIFILMA STATEMENT-----"
_BLOCK = re.compile(f"{BEGIN}\\s+(?P<base64>[A-Za-z0-9+/=\\s>]+?){END}")
WIDTH = 76


class MailWitness:
    """Sends statements to an address. It cannot say what was sent before: the database remembers that."""

    is_silent = True

    def __init__(self, address: str, sender: Sender) -> None:
        self.address, self._sender = address, sender

    def count(self) -> int:
        """Raise WitnessAway: a mailbox is read by people."""
        raise WitnessAway("A mailbox cannot be asked. Save its messages into a folder, and name that.")

    def read(self, number: int) -> bytes:
        """Raise WitnessAway."""
        raise WitnessAway(f"A mailbox cannot be asked for statement {number}.")

    def append(self, number: int, content: bytes) -> None:
        """Send a statement. The same one has the same Message-ID each time. Raise WitnessAway unless the mail server took it."""
        key = f"statement-{number}-{hashlib.sha256(content).hexdigest()[:32]}"
        try:
            self._sender.send(Letter(key, self.address, f"SI-FILMA statement {number}", armoured(number, content)))
        except SendFailed as failed:
            raise WitnessAway(f"The mail server did not take the statement: {failed}.") from failed


class SavedMail:
    """The statements in a folder of saved messages.

    Anybody can write to a mailbox: what no key of this installation signed does not count. `keys_of` returns the keys that may have signed
    a statement, and raises StatementRefused; of a statement that tells a keyset these are that one's as well, so they count for all.
    """

    def __init__(self, folder: Path, keys_of: KeysOf) -> None:
        self.folder, self._keys_of = folder, keys_of

    @cached_property
    def _found(self) -> dict[int, bytes]:
        if not self.folder.is_dir():
            raise WitnessAway(f"There is no folder {self.folder}.")
        there, keys = list(dict.fromkeys(_statements(self.folder))), dict[str, ec.EllipticCurvePublicKey]()
        for content in there:
            with suppress(StatementRefused):
                keys |= {jws.thumbprint(key): key for key in self._keys_of(content)}
        found: dict[int, bytes] = {}
        for content in there:
            number = _number(content, keys.values())
            if number is not None and found.setdefault(number, content) != content:
                raise WitnessDiffers(f"Two messages hold different statements {number}, both signed by this installation.")
        return found

    def numbers(self) -> list[int]:
        """Return the numbers of the statements that messages hold. Raise WitnessDiffers if the same number stands on two of them."""
        return sorted(self._found)

    def missing(self) -> list[int]:
        """Return the numbers of the statements that must exist, because later ones do, and that no message holds."""
        return [number for number in range(1, max(self._found, default=0)) if number not in self._found]

    def read(self, number: int) -> bytes:
        """Return a statement. Raise WitnessDiffers if no message holds it."""
        try:
            return self._found[number]
        except KeyError:
            raise WitnessDiffers(f"No message holds statement {number}.") from None


class Mailbox:
    """A mailbox whose messages lie saved in a folder: statements are read from there, and further ones are sent to the address."""

    def __init__(self, kept: FolderWitness, mail: MailWitness) -> None:
        self.count, self.read, self.append = kept.count, kept.read, mail.append


def gathered(folder: Path, keys_of: KeysOf, mail: MailWitness) -> Mailbox:
    """Return a mailbox as a witness that can be read: the statements of the messages that lie in a folder are put in order there.

    Raise WitnessDiffers if two messages, or a message and the folder, hold different statements of one number, or if one is missing.
    """
    saved, kept = SavedMail(folder, keys_of), FolderWitness(folder)
    there = kept.count()
    if gone := [number for number in saved.missing() if number > there]:
        raise WitnessDiffers(f"No message holds statement {gone[0]}, and {len(gone) - 1} others: save all messages of the mailbox.")
    for number in saved.numbers():
        kept.append(number, saved.read(number))
    return Mailbox(kept, mail)


def _number(content: bytes, keys: Iterable[ec.EllipticCurvePublicKey]) -> int | None:
    """Return the number of a statement that one of the keys signed, or None. What follows what is the reader's to verify."""
    try:
        said = claim(content)
        return verify(content, keys, seq=said.seq, previous=said.previous).seq
    except StatementRefused:
        return None


def armoured(number: int, content: bytes) -> str:
    """Return the text of a statement's mail: base64 in short lines, which no mail server breaks or wraps."""
    lines = wrap(base64.b64encode(content).decode(), WIDTH)
    told = f"Statement {number} of this installation. Keep this message: it is read again after a restore."
    return "\n".join([told, "", BEGIN, *lines, END, ""])


def _statements(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")):
        for message in _messages(path) if path.is_file() else ():
            for text in _texts(message):
                for block in _BLOCK.finditer(text):
                    try:  # a mail that was quoted has `>` before each line
                        yield base64.b64decode(re.sub(r"[\s>]", "", block["base64"]), validate=True)
                    except binascii.Error:
                        continue


def _messages(path: Path) -> Iterator[EmailMessage]:
    with path.open("rb") as file:
        is_mbox = file.read(5) == b"From "
    if is_mbox:
        box = mailbox.mbox(path, create=False)
        try:
            yield from (email.message_from_bytes(box.get_bytes(key), policy=default) for key in box.keys())  # noqa: SIM118  # not a dict
        finally:
            box.close()
    elif path.suffix.lower() == ".eml":
        with path.open("rb") as file:
            yield email.message_from_binary_file(file, policy=default)


def _texts(message: EmailMessage) -> Iterator[str]:
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            try:
                yield str(part.get_content())
            except (LookupError, ValueError):  # a character set that does not exist, or bytes that are not of it
                continue
