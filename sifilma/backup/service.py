"""Make a backup, open one, bring one back, and try one out. Each leaves what there is as it was, unless it succeeds."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pyrage import x25519
from sqlalchemy import Engine

from config.settings import Settings
from config.soundness import is_softhsm
from sifilma.backup import archive
from sifilma.backup.archive import BackupRefused, Part, Written
from sifilma.backup.databases import Backed, backed, facts_of, pieces_of
from sifilma.kernel.sealing import keys as keys_of
from sifilma.schema import migrate

VERSION = 1
NOTE = ".json"
"""What stands beside a backup: size, SHA-256, moment and counts, for those who have no key. Nothing rests on it."""
HOME, ROOM = "home/", ".backup-"
KEPT = ("kind", "seals", "regions")
TOKENS = "softhsm/tokens"


@dataclass(frozen=True)
class Restored:
    """What was brought back: the list of the backup, and where the state of before is now (empty: there was none)."""

    listed: dict[str, Any]
    before: tuple[str, ...]


def make(settings: Settings, target: Path, recipients: Sequence[str], now: datetime) -> tuple[Path, Written]:
    """Write a backup, and return its path and what is in it. A folder as target gets a file that is named by the moment."""
    keys = archive.recipients_of(recipients)
    if target.is_dir():
        target = target / f"sifilma-{now:%Y%m%dT%H%M%SZ}.age"
    if target.exists():
        raise BackupRefused(f"{target} is there already.")
    with _room(settings) as room, backed(settings.database).take(room) as taken:
        facts = {
            **taken.facts,
            "form": VERSION,
            "made_at": now.isoformat(timespec="seconds"),
            "kind": settings.env,
            "issuer": settings.issuer,
        }
        # The token comes after the database: a key is on it before a row says so.
        done = archive.write(target, keys, _mac_keys(settings)[0], _parts(taken.parts, settings), facts)
    note = {"size": done.size, "sha256": done.sha256, **{name: value for name, value in done.listed.items() if name != "parts"}}
    target.with_name(target.name + NOTE).write_text(json.dumps(note, indent=2) + "\n")
    return target, done


def holds(folder: Path, sha256: str) -> bool:
    """Return whether a folder has the backup with this SHA-256 (hex), and every byte of it is as it was."""
    for path in folder.glob("*.age"):
        with suppress(OSError, ValueError, KeyError):
            if json.loads(path.with_name(path.name + NOTE).read_text())["sha256"] == sha256:
                with path.open("rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    return False


def restore(
    settings: Settings,
    source: Path,
    identities: Sequence[x25519.Identity],
    now: datetime,
    mark: Callable[[Engine], None],
    to: Backed | None = None,
) -> Restored:
    """Bring a backup back in the place of what there is. Everything is read, compared and loaded before anything is replaced.

    `mark` writes into the database that was loaded, before it is the one in use.
    """
    with _opened(settings, source, identities) as (room, listed):

        def loaded(engine: Engine) -> None:
            _compare(engine, listed)
            mark(engine)

        before = [(to or backed(settings.database)).replace(room, loaded, now)]
        before += _bring_home(settings, room, now)
    return Restored(listed, tuple(one for one in before if one))


def try_out(settings: Settings, source: Path, identities: Sequence[x25519.Identity], look: Callable[[Engine], None]) -> dict[str, Any]:
    """Bring a backup back beside what there is, have it looked at, and throw it away. Return its list."""
    with _opened(settings, source, identities) as (room, listed), backed(settings.database).try_out(room) as engine:
        _compare(engine, listed)
        look(engine)
    return listed


def _mac_keys(settings: Settings) -> tuple[bytes, ...]:
    return keys_of(settings, "backup")


@contextmanager
def _room(settings: Settings) -> Iterator[Path]:
    """Give a folder of the home that its owner alone can read, for as long as the block lasts. Remove what killed commands have left."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in settings.home.glob(f"{ROOM}*"):
        with locked(left) as is_mine:
            if is_mine:
                shutil.rmtree(left, ignore_errors=True)
    room = Path(tempfile.mkdtemp(prefix=ROOM, dir=settings.home))
    try:
        with locked(room):
            yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Lock a folder as long as the block lasts, if it can be: the lock of a process that is killed goes with it."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield False
        return
    try:
        yield _lock(held)
    finally:
        os.close(held)


def _lock(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has it, or this file system knows no locks
        return False
    return True


def _parts(of_database: Iterator[Part], settings: Settings) -> Iterator[Part]:
    yield from of_database
    names = (*KEPT, TOKENS) if is_softhsm(settings.hsm_module) else KEPT
    for name in names:
        top = settings.home / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                yield HOME + str(path.relative_to(settings.home)), pieces_of(path)


@contextmanager
def _opened(settings: Settings, source: Path, identities: Sequence[x25519.Identity]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give a folder with the parts of a backup, as its list has them, and the list. Raise BackupRefused for what is not restored here."""
    with _room(settings) as room:

        def sink(name: str, data: bytes) -> None:
            path = (room / name).resolve()
            if not path.is_relative_to(room.resolve()):
                raise BackupRefused("A part of the backup lies outside it.")
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with path.open("ab") as file:
                file.write(data)

        keys = _mac_keys(settings)
        if len(keys) > 1:  # only one of the two made it: find out which, without unpacking
            keys = tuple(key for key in keys if _is_made_with(source, identities, key)) or keys[:1]
        listed = archive.read(source, identities, keys[0], sink).listed
        if listed["form"] != VERSION:
            raise BackupRefused(f"{source.name} has the form {listed['form']}: it is of a later version of this software.")
        if listed["kind"] != settings.env:
            raise BackupRefused(f"{source.name} is of a {listed['kind']} installation, and SIFILMA_ENV says {settings.env}.")
        yield room, listed


def _is_made_with(source: Path, identities: Sequence[x25519.Identity], key: bytes) -> bool:
    try:
        archive.read(source, identities, key, lambda _name, _data: None)
    except BackupRefused:
        return False
    return True


def _compare(engine: Engine, listed: dict[str, Any]) -> None:
    """Raise BackupRefused unless a database is the one that was backed up, and the code can work with it."""
    with engine.connect() as connection:
        found = facts_of(connection.execution_options(sifilma_read_only=True))
    differing = [name for name, value in found.items() if listed.get(name) != value]
    if differing:
        raise BackupRefused(f"What was loaded is not what was backed up: {', '.join(differing)}.")
    if found["schema"] not in migrate.known():
        raise BackupRefused(f"The backup has the schema {found['schema']}, which this version does not know: use a later one.")
    if found["schema"] == migrate.head():
        with engine.connect() as connection:
            if not (checked := migrate.compare(connection)).ok:
                raise BackupRefused(
                    f"The schema in the backup is not that of the code: {[*checked.differences, *checked.missing_rules][:3]}."
                )


def _bring_home(settings: Settings, room: Path, now: datetime) -> list[str]:
    """Put files of the home back. A boundary layer of before is moved aside. A token, and what says whose the home is, stay as they are.

    The token of today is never older than that of a backup: it has every key, and may have newer ones.
    """
    moved = []
    for name in (*KEPT, TOKENS):
        new, own = room / HOME / name, settings.home / name
        if not new.exists() or (own.exists() and name != "regions"):
            continue
        if own.exists():
            before = own.with_name(f"{own.name}.before-{now:%Y%m%d%H%M%S}")
            own.rename(before)
            moved.append(str(before))
        own.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new.rename(own)
    return moved
