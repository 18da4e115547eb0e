"""The published trust state in the database: root pin, certificates, record of keys, keyset. The folder `home/trust` is its copy on a node.

Nothing is taken from the database that the root has not signed, and no root but that of the newest ceremony in the record of acts.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from sqlalchemy import Engine, func, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config.settings import Settings
from manifests import jws
from manifests.encoding import Malformed
from manifests.keyset import KeysetRefused, root_sha256, verify_keyset
from sifilma.activation.trust.models import PublishedTrust
from sifilma.audit.models import Action, AuditEntry
from sifilma.kernel.ids import uuid7

PIN, ROOT, KEYSET, RECORD, CHECKS = "root.sha256", "root.crt", "sam-keyset.jws", "key-record.jws", "key-checks.json"
RECORD_TYPE = "sam-keys+jws"
SIGNERS = ("manifest-sign", "status-sign", "audit-sign", "document-sign")
NAMES = (PIN, ROOT, *(f"{label}{part}.crt" for part in ("", "-2") for label in SIGNERS), CHECKS, RECORD, KEYSET)
"""In the order in which they are written: the keyset comes last, since processes read the others again when it changes."""
AGAIN = 10.0
"""Seconds for which the database is not asked again after it had nothing for a folder that lacks something."""
log = structlog.get_logger()
_engines: WeakValueDictionary[Path, Engine] = WeakValueDictionary()
"""The databases that fill folders, as long as their applications have them."""
_asked: dict[Path, float] = {}


@dataclass(frozen=True)
class Ceremony:
    """The newest ceremony that a database has in its record: the pin of the root, and the kind of installation (empty: not recorded)."""

    pin: str
    kind: str


def find_ceremony(session: Session) -> Ceremony | None:
    """Return the newest ceremony in the record, or None if there was none."""
    query = (
        select(AuditEntry.data)
        .where(AuditEntry.object_kind == "keyset", AuditEntry.action == str(Action.KEYS_CEREMONY))
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(1)
    )
    data = session.scalars(query).first()
    return Ceremony(data.get("root_sha256", ""), data.get("kind", "")) if data is not None else None


def keep(session: Session, settings: Settings, now: datetime) -> int:
    """Store what the folder has and the database has not, or has in an older version. Return how many files were stored.

    Nothing is stored of a folder of another root than that of the newest ceremony.
    """
    ceremony, there = find_ceremony(session), _files(settings)
    pin = there.get(PIN, b"").decode().strip()
    if ceremony is None or pin != ceremony.pin:
        return 0
    known = _newest(session)
    new = [(name, data) for name, data in there.items() if _is_newer(name, data, known.get(name, (0, None))[1], pin)]
    for name, data in new:
        session.add(PublishedTrust(name=name, seq=known.get(name, (0, None))[0] + 1, data=data, at=now))
    session.flush()
    _asked.pop(settings.trust, None)  # there is something to be had now
    return len(new)


def fill(session: Session, settings: Settings) -> int:
    """Write into the folder what it lacks, or has in an older version. Return how many files were written."""
    known = {name: data for name, (_, data) in _newest(session).items()}
    there = _files(settings)
    if all(there.get(name) == data for name, data in known.items()):
        return 0
    ceremony, pin = find_ceremony(session), known.get(PIN, b"").decode().strip()
    if ceremony is None or pin != ceremony.pin or there.get(PIN, known[PIN]) != known[PIN]:
        log.error("trust_not_taken", reason="the database holds another root than its ceremony or this folder")
        return 0
    new = [name for name in NAMES if name in known and _is_newer(name, known[name], there.get(name), pin)]
    settings.trust.mkdir(parents=True, exist_ok=True)
    for name in new:
        replace_file(settings.trust / name, known[name])
    return len(new)


def serve_from(settings: Settings, engine: Engine) -> None:
    """Have `refill` take from this database."""
    _engines[settings.trust] = engine


def refill(settings: Settings) -> bool:
    """Fill the folder where something in it is missing or unusable. Return whether a file was written. Uses a connection of its own."""
    asked, engine = _asked.get(settings.trust), _engines.get(settings.trust)
    if engine is None or (asked is not None and time.monotonic() - asked < AGAIN):
        return False
    done = _fill(settings, engine)
    if not done:
        _asked[settings.trust] = time.monotonic()
    return done > 0


def follow(settings: Settings, then: Callable[[], None]) -> None:
    """Fill the folder from now on as often as a ceremony on another node may have published something, in a thread of this process.

    `then` is called each time after it.
    """

    def run() -> None:
        while True:
            time.sleep(settings.trust_seconds)
            engine = _engines.get(settings.trust)
            if engine is None:  # its application has ended
                return
            _fill(settings, engine)
            del engine
            then()

    threading.Thread(target=run, name="trust", daemon=True).start()


def _fill(settings: Settings, engine: Engine) -> int:
    try:
        with Session(engine) as session:
            session.connection(execution_options={"sifilma_read_only": True})
            return fill(session, settings)
    except (SQLAlchemyError, OSError) as away:
        log.warning("trust_not_filled", reason=type(away).__name__)
        return 0


def read(settings: Settings, name: str) -> bytes | None:
    """Return a file of the folder, or None if neither folder nor database has it."""
    path = settings.trust / name
    if not path.exists():
        refill(settings)
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file of a folder that is there, atomically: readers see the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{uuid7().hex}")
    temporary.write_bytes(data)
    temporary.replace(path)


def stored(session: Session, name: str) -> bytes | None:
    """Return a file as the database holds it, None if it has none."""
    query = select(PublishedTrust.data).where(PublishedTrust.name == name).order_by(PublishedTrust.seq.desc()).limit(1)
    data = session.scalar(query)
    return None if data is None else bytes(data)


def told_by_root(line: bytes, pin: str) -> dict[str, Any]:
    """Return what a record of keys says. Raise ValueError unless the pinned root signed it."""
    parts = jws.split(line, RECORD_TYPE)
    told: dict[str, Any] = json.loads(parts.payload)
    root = jws.key_from_jwk(told["root"])
    if root_sha256(root) != pin or not jws.verify(parts, root):
        raise Malformed("not signed by the pinned root")
    return told


def unusable(session: Session) -> Iterator[tuple[str, str]]:
    """Yield what the database holds and no node would take, with the reason."""
    ceremony, known = find_ceremony(session), _newest(session)
    if ceremony is None or not known:
        return
    if (pin := known.get(PIN, (0, b""))[1].decode().strip()) != ceremony.pin:
        yield PIN, "is not the root of the newest ceremony"
        return
    for name, (_, data) in known.items():
        try:
            _version(name, data, pin)
        except (ValueError, KeyError, TypeError, KeysetRefused, InvalidSignature):
            yield name, "is not what the root signed"


def _files(settings: Settings) -> dict[str, bytes]:
    found = {}
    for name in NAMES:
        with contextlib.suppress(OSError):
            found[name] = (settings.trust / name).read_bytes()
    return found


def _newest(session: Session) -> dict[str, tuple[int, bytes]]:
    newest = select(PublishedTrust.name, func.max(PublishedTrust.seq)).group_by(PublishedTrust.name)
    query = select(PublishedTrust.name, PublishedTrust.seq, PublishedTrust.data)
    rows = session.execute(query.where(tuple_(PublishedTrust.name, PublishedTrust.seq).in_(newest)))
    return {name: (seq, bytes(data)) for name, seq, data in rows}


def _is_newer(name: str, data: bytes, than: bytes | None, pin: str) -> bool:
    """Return whether `data` takes the place of `than`: the root signed it, and what counts versions is of a later one."""
    if data == than:
        return False
    try:
        version = _version(name, data, pin)
        if than is None or version is None:
            return True
    except (ValueError, KeyError, TypeError, KeysetRefused, InvalidSignature) as wrong:
        log.error("trust_not_taken", file=name, reason=type(wrong).__name__)
        return False
    try:
        before = _version(name, than, pin)
    except (ValueError, KeyError, TypeError, KeysetRefused, InvalidSignature):
        return True
    return before is None or version > before


def _version(name: str, data: bytes, pin: str) -> int | None:
    """Return the version that a file says, None for one that counts none. Raise if the root that is pinned has not signed it."""
    if name == KEYSET:
        return verify_keyset(data, pin, 0).version
    if name == RECORD:
        return int(told_by_root(data, pin)["version"])
    if name == ROOT and root_sha256(x509.load_pem_x509_certificate(data).public_key()) != pin:  # type: ignore[arg-type]  # a root is P-256
        raise Malformed("another root")
    return None
