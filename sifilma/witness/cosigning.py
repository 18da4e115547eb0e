"""What a witness server keeps of an installation's log: who the log is, the key that cosigns, and every checkpoint it has cosigned.

It knows nothing of the installation but the log's name and public keys. A log that goes on under another name (after a restore) is a
further one. A file per log only grows: one JSON line `{"note": …}` per cosigned checkpoint, with the cosignature, on the disk before the
answer leaves. The newest line is the state, and what is added under a lock over all processes must continue it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sifilma.audit.cosignature import Cosigner, cosign, read_cosignature, require_name
from sifilma.audit.note import Checkpoint, NoteRefused, claim, read_checkpoint, spki
from sifilma.audit.tree import EMPTY_ROOT, ProofRefused, check_consistency
from sifilma.witness.folder import sync_folder
from sifilma.witness.wire import Submission

PLAN, KEY = "witness.json", "cosigner.pem"
MAX_NOTE = 8 * 1024
"""Bytes that a note may have. It is kept with a cosignature, as JSON: at most three bytes in the place of one."""
TAIL = 64 * 1024
"""Bytes at the end of the file that hold the newest line."""
PATIENCE = 2.0
"""Seconds for which one process waits for another one's lock."""


class WitnessBroken(Exception):
    """The folder is none of a witness, or what it recorded cannot be read. The text says why. Nothing is cosigned."""


class Busy(Exception):
    """Another process has held the lock for PATIENCE seconds."""


class Refused(Exception):
    """A checkpoint is not cosigned. `status` is that of c2sp.org/tlog-witness; `size`: that of the newest cosigned one."""

    def __init__(self, status: int, reason: str, size: int = 0) -> None:
        super().__init__(reason)
        self.status, self.size = status, size


class CosigningFolder:
    """The folder of a witness server."""

    def __init__(self, folder: Path) -> None:
        """Read who the log is and who cosigns. Raise WitnessBroken."""
        self.folder = folder
        try:
            plan = json.loads((folder / PLAN).read_text())
            key = serialization.load_pem_private_key((folder / KEY).read_bytes(), None)
            if not isinstance(key, Ed25519PrivateKey):
                raise WitnessBroken(f"{folder / KEY} holds no Ed25519 key")
            self._key = key
            self.cosigner = Cosigner(require_name(plan["name"]), key.public_key().public_bytes_raw())
            self.logs = {
                str(origin): [_ec_key(base64.b64decode(one, validate=True)) for one in keys] for origin, keys in plan["logs"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as broken:
            raise WitnessBroken(f"{folder} is not set up as a witness: {broken}") from broken

    @property
    def keys(self) -> list[ec.EllipticCurvePublicKey]:
        """Return the keys of all logs."""
        return [key for keys in self.logs.values() for key in keys]

    def file(self, origin: str) -> Path:
        """Return the file of a log."""
        return self.folder / f"checkpoints-{hashlib.sha256(origin.encode()).hexdigest()[:16]}.jsonl"

    def newest(self, origin: str) -> str | None:
        """Return the newest cosigned note of a log, or None before the first. Raise WitnessBroken."""
        try:
            with self.file(origin).open("rb") as file:
                return self._newest(file, origin)[0]
        except FileNotFoundError:
            return None

    def add(self, submission: Submission, at: int) -> str:
        """Cosign a checkpoint that continues the newest cosigned one. Return the cosignature's line once it is on the disk.

        `at`: POSIX seconds. Raise Refused, Busy, WitnessBroken, and OSError where the disk takes nothing: nothing is then cosigned.
        """
        said = self._said(submission)
        with self._held(said.origin) as file:
            note, end = self._newest(file, said.origin)
            newest = Checkpoint(said.origin, 0, EMPTY_ROOT) if note is None else claim(note)
            _require_growth(submission, said, newest)
            line = cosign(submission.note, self.cosigner, self._key, at)
            if note is None or said.size > newest.size:
                _append(file, end, json.dumps({"note": submission.note + line}).encode() + b"\n")
        return line

    def _said(self, submission: Submission) -> Checkpoint:
        """Return what the note says, if the log signed it. Strangers may have added lines, so its size is bounded before it is kept."""
        if len(submission.note.encode()) > MAX_NOTE:
            raise Refused(400, "the note is too long")
        try:
            said = claim(submission.note)
        except NoteRefused as refused:
            raise Refused(400, str(refused)) from refused
        if said.origin not in self.logs:
            raise Refused(404, "another log")
        try:
            read_checkpoint(submission.note, self.logs[said.origin])
        except NoteRefused as refused:
            raise Refused(403, str(refused)) from refused
        if submission.old > said.size:
            raise Refused(400, "the old size is larger than the new one")
        return said

    @contextlib.contextmanager
    def _held(self, origin: str) -> Iterator[BinaryIO]:
        """Open a log's file for writing, alone among all processes and threads."""
        path = self.file(origin)
        is_new = not path.exists()
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
            if is_new:
                sync_folder(self.folder)
            hold(file)
            yield file

    def _newest(self, file: BinaryIO, origin: str) -> tuple[str | None, int]:
        """Return the newest note, and where the whole lines end. What follows was being written when a process died: nobody saw it."""
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - TAIL))
        lines = file.read(size - start).split(b"\n")
        end = size - len(lines[-1])
        if len(lines) == 1:
            if start:
                raise WitnessBroken(f"the record of {origin} ends in what is no line")
            return None, 0
        try:
            note = str(json.loads(lines[-2])["note"])
            read_cosignature(note, self.cosigner)
            if claim(note).origin != origin:
                raise NoteRefused("it is of another log")
        except (ValueError, KeyError, TypeError) as broken:
            raise WitnessBroken(f"the newest line about {origin} is not what this witness wrote: {broken}") from broken
        return note, end


def set_up(folder: Path, name: str, origin: str, log_keys: Sequence[ec.EllipticCurvePublicKey]) -> CosigningFolder:
    """Make a witness in a new or empty folder: a key of its own, for one log. Raise WitnessBroken, NoteRefused."""
    require_name(name)
    _require_origin(origin)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise WitnessBroken(f"{folder} is not empty: a witness never begins anew under its old name")
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder / KEY, pem)
    # Last: a folder without it is no witness.
    _write_plan(folder, name, {origin: log_keys})
    return CosigningFolder(folder)


def trust(folder: Path, log_key: ec.EllipticCurvePublicKey, origin: str = "") -> None:
    """Have the witness take signatures of a further key of a log, beside those of before; the log may be a further one.

    Without `origin` it is the log that came last. Raise WitnessBroken, NoteRefused.
    """
    held = CosigningFolder(folder)
    name = origin or list(held.logs)[-1]
    _require_origin(name)
    keys = held.logs.get(name, [])
    if spki(log_key) not in map(spki, keys):
        _write_plan(folder, held.cosigner.name, {**held.logs, name: [*keys, log_key]})


def hold(file: BinaryIO) -> None:
    """Lock a file until it is closed. Raise Busy after PATIENCE seconds."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise Busy("another process holds the record") from None
            time.sleep(0.01)


def _require_growth(asked: Submission, said: Checkpoint, newest: Checkpoint) -> None:
    """Raise Refused unless the checkpoint continues the newest cosigned one."""
    if asked.old != newest.size:
        raise Refused(409, "another checkpoint was cosigned last", newest.size)
    if said.size == newest.size and said.root != newest.root:
        raise Refused(409, "two roots of one size: the log has forked", newest.size)
    try:
        if newest.size == 0 or said.size == newest.size:
            if asked.proof:
                raise ProofRefused("there is nothing to prove")
        else:
            check_consistency(newest.size, newest.root, said.size, said.root, asked.proof)
    except ProofRefused as refused:
        raise Refused(422, str(refused)) from refused


def _append(file: BinaryIO, end: int, line: bytes) -> None:
    """Write a line after the whole ones, in place of a half one, and put it on the disk. Where that fails the file is as before."""
    file.truncate(end)
    file.seek(end)
    try:
        if file.write(line) != len(line):
            raise OSError("the disk took a part of the line only")
        os.fsync(file.fileno())
    except OSError:
        file.truncate(end)
        raise


def _ec_key(der: bytes) -> ec.EllipticCurvePublicKey:
    key = serialization.load_der_public_key(der)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise WitnessBroken("a key of the log is not of an elliptic curve")
    return key


def _require_origin(origin: str) -> None:
    if origin.split() != [origin]:
        raise NoteRefused("the name of a log has no white space")


def _write_plan(folder: Path, name: str, logs: Mapping[str, Sequence[ec.EllipticCurvePublicKey]]) -> None:
    plan = {"name": name, "logs": {origin: [base64.b64encode(spki(key)).decode() for key in keys] for origin, keys in logs.items()}}
    _write(folder / PLAN, json.dumps(plan, indent=2).encode() + b"\n")


def _write(path: Path, data: bytes) -> None:
    """Write a file whole, for its owner alone, and put it on the disk."""
    temporary = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
