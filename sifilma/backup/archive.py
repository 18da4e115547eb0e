"""The file of a backup: a tar of blocks, encrypted by age to the operator's keys. It is written and read as a stream.

Its last blocks are the list of what it holds, with size and SHA-256 of each, and a MAC of that list under a key of the settings: age says
that nobody has changed the file, the MAC says that this installation made it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
from pyrage import x25519

from sifilma.kernel.errors import Conflict

BLOCK = 4 * 1024 * 1024
"""Bytes of a block, at most. A process holds one or two of them."""
LIST, MAC = "list.json", "list.mac"
_HEAD = tarfile.BLOCKSIZE
Part = tuple[str, Iterable[bytes]]
"""A part of a backup: its name, and its bytes in pieces of any size."""


class BackupRefused(Conflict):
    """A backup cannot be made, or is not one that can be restored here."""


@dataclass(frozen=True)
class Written:
    """A file that was written: its size, its SHA-256 (hex), and the list of what it holds."""

    size: int
    sha256: str
    listed: dict[str, Any]


def recipients_of(texts: Sequence[str]) -> list[x25519.Recipient]:
    """Return the keys to which backups are encrypted. Raise BackupRefused for none, or a text that is no key."""
    if not texts:
        raise BackupRefused(
            "Nobody could open this backup: give --recipient or SIFILMA_BACKUP_RECIPIENTS (`sifilma backup --make-key FILE`)."
        )
    try:
        return [x25519.Recipient.from_str(text) for text in texts]
    except pyrage.RecipientError as wrong:
        raise BackupRefused("A recipient is no public key of age (age1…).") from wrong


def identities_in(path: Path) -> list[x25519.Identity]:
    """Return the private keys in a file, one a line (`age-keygen`, `sifilma backup --make-key`). Raise BackupRefused."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        found = [x25519.Identity.from_str(line) for line in lines]
    except (OSError, UnicodeDecodeError, pyrage.IdentityError) as wrong:
        raise BackupRefused(f"{path} is no file of private keys of age.") from wrong
    if not found:
        raise BackupRefused(f"{path} holds no private key.")
    return found


def make_key(path: Path) -> str:
    """Write a new private key, which its owner alone can read, and return its public half. Raise BackupRefused if the file is there."""
    made = x25519.Identity.generate()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"# public key: {made.to_public()}\n{made}\n")
    except OSError as refused:
        raise BackupRefused(f"{path} cannot be written: {refused.strerror}.") from refused
    return str(made.to_public())


# --- writing -----------------------------------------------------------------------------------------------------------


def write(path: Path, keys: Sequence[x25519.Recipient], mac_key: bytes, parts: Iterable[Part], facts: Mapping[str, Any]) -> Written:
    """Write a backup beside `path`, read it again from the disk to its end, and give it its name. Nothing is left where that fails.

    It is encrypted to a key of this call as well, which is forgotten: with it what was written can be opened and compared.
    """
    own = x25519.Identity.generate()
    temporary = path.with_name(f".{path.name}.part")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            sealed, packed = _Tee(file), _Packed(parts, facts, mac_key)
            _encrypt(_Pulled(packed.stream()), sealed, [*keys, own.to_public()])
            file.flush()
            os.fsync(file.fileno())
        done = read(temporary, [own], mac_key, lambda _name, _data: None)
        if (done.sha256, done.listed) != (sealed.digest.hexdigest(), packed.listed):
            raise BackupRefused("What was written is not what is on the disk.")
        temporary.replace(path)
    except OSError as full:
        raise BackupRefused(f"{path} could not be written: {full.strerror}.") from full
    finally:
        temporary.unlink(missing_ok=True)
    return done


def _encrypt(source: _Pulled, target: _Tee, keys: Sequence[x25519.Recipient]) -> None:
    """Encrypt. Raise what the source raised, not what age makes of it."""
    try:
        pyrage.encrypt_io(source, target, keys)
    except (pyrage.EncryptError, OSError) as fault:
        told = source.fault or target.fault or fault
        raise told if isinstance(told, BackupRefused | OSError) else BackupRefused(f"The backup broke off: {told}.") from fault


@dataclass
class _Packed:
    """What goes into the tar. `listed` is complete when the stream has ended."""

    parts: Iterable[Part]
    facts: Mapping[str, Any]
    mac_key: bytes
    listed: dict[str, Any] = field(default_factory=dict)

    def stream(self) -> Iterator[bytes]:
        held: dict[str, Any] = {}
        for name, pieces in self.parts:
            digest, size = hashlib.sha256(), 0
            for number, block in enumerate(_blocks(pieces)):
                digest.update(block)
                size += len(block)
                yield from _entry(f"{name}:{number}", block)
            held[name] = {"size": size, "sha256": digest.hexdigest()}
        self.listed = {**self.facts, "parts": held}
        told = json.dumps(self.listed, sort_keys=True).encode()
        yield from _entry(LIST, told)
        yield from _entry(MAC, _mac(self.mac_key, told))
        yield bytes(2 * _HEAD)


def _mac(key: bytes, told: bytes) -> bytes:
    return hmac.new(key, told, hashlib.sha256).hexdigest().encode()


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Gather pieces into blocks. A part without bytes has one empty block, so that it is there when it is read."""
    gathered, any_ = bytearray(), False
    for piece in pieces:
        gathered += piece
        while len(gathered) >= BLOCK:
            yield bytes(gathered[:BLOCK])
            del gathered[:BLOCK]
            any_ = True
    if gathered or not any_:
        yield bytes(gathered)


def _entry(name: str, data: bytes) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o600
    yield info.tobuf(tarfile.USTAR_FORMAT)
    yield data
    yield bytes(-len(data) % _HEAD)


class _Pulled:
    """A stream of pieces as a file that is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, memoryview(b"")
        self.fault: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        while not self._left:
            with ExitStack() as told:
                told.push(self._keep)
                piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = memoryview(piece)
        taken = self._left[: size if size >= 0 else None]
        self._left = self._left[len(taken) :]
        return bytes(taken)

    def _keep(self, _kind: object, fault: BaseException | None, _trace: object) -> None:
        """Keep a fault, since the library makes another of it."""
        if isinstance(fault, Exception):
            self.fault = fault


class _Tee:
    """A file that is written, and the digest of what went into it."""

    def __init__(self, file: Any) -> None:
        self._file, self.digest = file, hashlib.sha256()
        self.fault: Exception | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            self._file.write(data)
        except OSError as full:
            self.fault = full
            raise
        return len(data)

    def flush(self) -> None:
        self._file.flush()


# --- reading -----------------------------------------------------------------------------------------------------------


def read(path: Path, keys: Sequence[x25519.Identity], mac_key: bytes, sink: Callable[[str, bytes], None]) -> Written:
    """Read a backup to its end and give each block of a part to `sink`. Raise BackupRefused where a byte is not what was written.

    Until it returns nothing that `sink` was given may be believed.
    """
    unpacked = _Unpacked(sink)
    try:
        with path.open("rb") as file:
            source = _Read(file)
            pyrage.decrypt_io(source, unpacked, keys)
            while source.read(BLOCK):  # nothing may follow; age reads to the end of its last chunk
                pass
    except pyrage.DecryptError as wrong:
        raise BackupRefused(f"{path.name} cannot be opened with this key, or was changed: {wrong}.") from wrong
    except (OSError, tarfile.TarError, ValueError) as wrong:
        raise BackupRefused(f"{path.name} was changed, is cut short, or is no backup: {str(wrong) or type(wrong).__name__}.") from wrong
    return Written(source.size, source.digest.hexdigest(), unpacked.end(mac_key, path.name))


class _Read:
    def __init__(self, file: Any) -> None:
        self._file, self.digest, self.size = file, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)
        self.digest.update(data)
        self.size += len(data)
        return data


class _Unpacked:
    """A tar that is taken apart as it comes."""

    def __init__(self, sink: Callable[[str, bytes], None]) -> None:
        self._sink, self._gathered, self._name, self._left = sink, bytearray(), "", 0
        self._found: dict[str, tuple[int, Any]] = {}
        self._last: dict[str, bytes] = {}
        self._ended = False

    def write(self, data: bytes) -> int:
        self._gathered += data
        while len(self._gathered) >= (wanted := self._left + -self._left % _HEAD if self._name else _HEAD):
            taken = bytes(self._gathered[:wanted])
            del self._gathered[:wanted]
            if self._name:
                self._block(self._name, taken[: self._left])
                self._name, self._left = "", 0
            elif taken.strip(b"\0") == b"":
                self._ended = True
                return len(data)
            else:
                info = tarfile.TarInfo.frombuf(taken, "utf-8", "strict")
                self._name, self._left = info.name, info.size
                if info.size > BLOCK + 1024 * 1024:
                    raise ValueError("a block is too large")
                if info.size == 0:
                    self._block(self._name, b"")
                    self._name = ""
        return len(data)

    def flush(self) -> None:
        pass

    def _block(self, name: str, data: bytes) -> None:
        part, _, _number = name.rpartition(":")
        if not part:
            self._last[name] = data
            return
        size, digest = self._found.get(part, (0, hashlib.sha256()))
        digest.update(data)
        self._found[part] = (size + len(data), digest)
        self._sink(part, data)

    def end(self, mac_key: bytes, name: str) -> dict[str, Any]:
        """Return the list, compared with what came. Raise BackupRefused."""
        told = self._last.get(LIST, b"")
        if not self._ended or not hmac.compare_digest(self._last.get(MAC, b""), _mac(mac_key, told)):
            raise BackupRefused(f"{name} was not made by this installation: its list has another MAC. Is SIFILMA_SECRET_KEY the same?")
        listed: dict[str, Any] = json.loads(told)
        found = {part: {"size": size, "sha256": digest.hexdigest()} for part, (size, digest) in self._found.items()}
        if found != listed["parts"]:
            raise BackupRefused(f"{name} does not hold what its list says.")
        return listed
