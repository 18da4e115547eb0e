"""The worker tells the witness what happened, in the order of the log: what was made, what ended, keysets and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any
from uuid import UUID

from sqlalchemy import Row, exists, func, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from hsm import HSM
from sifilma.activation.models import Manifest, ManifestState
from sifilma.activation.trust import keyset, told
from sifilma.audit import sequencing
from sifilma.audit.models import Action, AuditEntry, LogCheckpoint, LogLeaf, PendingEntry
from sifilma.audit.store import log_size
from sifilma.cards.models import Card, CardState
from sifilma.identity.models import AccountState, ApiKey, User
from sifilma.kernel.context import Context
from sifilma.kernel.db import among, changed, upsert
from sifilma.kernel.errors import Unavailable
from sifilma.witness import reserved, row, standing
from sifilma.witness.contract import WitnessAway, WitnessDiffers
from sifilma.witness.models import ReservedNumber, WitnessStatement
from sifilma.witness.opening import open_witness
from sifilma.witness.row import Said
from sifilma.witness.standing import State
from sifilma.witness.statements import Kind, log_subject

CURSOR = "acts"
"""The counter of entries of the log that were made statements of."""
AT_ONCE = 200
SECONDS = 8.0
"""How long one run writes statements before it tells them."""
TOLD = frozenset({
    "activation_request", "agreement", "api_key", "blank_delivery", "card", "destruction", "discrepancy", "handover", "manifest",
    "model_case", "organisation", "personalisation_request", "reference", "succession", "unit", "user", "activation",
})  # fmt: skip
"""The kinds of objects whose acts are told. Signing in, reading and refusals are not."""
READ = frozenset({Action.MANIFEST_DOWNLOAD})
"""Acts on such objects that change nothing."""
ENDED_CARDS = (CardState.DAMAGED, CardState.LOCKED, CardState.LOST, CardState.REVOKED, CardState.SUSPENDED)
Contexts = Callable[[], AbstractContextManager[Context]]


def is_due(ctx: Context, settings: Settings) -> bool:
    """Return whether there is something to tell."""
    if not settings.witness:
        return False
    session = ctx.session
    if row.untold_since(session) is not None:
        return time.monotonic() >= told.quiet_until(settings)
    if session.scalar(select(exists().select_from(PendingEntry))) or log_size(session) != _cursor(session):
        return True
    return next(_published(session, settings), None) is not None


def tell(contexts: Contexts, settings: Settings, hsm: HSM) -> int:
    """Write what is to be told, and tell it. Return how many statements the witness got.

    Nothing is told while the witness is another one than before, or knows more than the database. While it is away statements are written
    all the same, and told when it is back. Raise ClockNotTrusted.
    """
    witness = open_witness(settings)
    if witness is None:
        return 0
    with contexts() as ctx:
        ctx.uow.begin_read()
        found = standing.of(ctx.session).compare(ctx.session)
        if found.state not in (State.SOUND, State.AWAY):
            return 0
        ctx.require_trusted_clock()
    until = time.monotonic() + SECONDS
    while _write(contexts, settings, hsm) and time.monotonic() < until:
        pass
    with contexts() as ctx:
        try:
            return row.send(ctx, witness)
        except (WitnessAway, WitnessDiffers):
            told.keep_quiet(settings)
            return 0


def reserve(contexts: Contexts, settings: Settings, hsm: HSM) -> int:
    """Reserve numbers ahead and tell their ends. Return how many counters that were. Raise ClockNotTrusted."""
    if not settings.witness:
        return 0
    with contexts() as ctx:
        ctx.uow.begin_read()
        if standing.of(ctx.session).look(ctx.session).state not in (State.SOUND, State.AWAY):
            return 0
        ctx.require_trusted_clock()
        ctx.uow.end_read()
        done = reserved.ahead(ctx, settings, told.signer(ctx, settings, hsm))
    if done:
        tell(contexts, settings, hsm)
    return done


def _write(contexts: Contexts, settings: Settings, hsm: HSM) -> int:
    """Write the statements of the next entries of the log, and of what was published. Return how many entries that were."""
    with contexts() as ctx:
        sequencing.append(ctx)
    with contexts() as ctx:
        return _write_next(ctx, settings, hsm)


def _write_next(ctx: Context, settings: Settings, hsm: HSM) -> int:
    ctx.uow.begin_read()
    before = _cursor(ctx.session)
    if before is None:  # a witness from now on: what was before it is reserved, and told by the next lists
        size = log_size(ctx.session)
        ctx.uow.separately(lambda session: _begin(session, size, ctx))
        return 1
    entries = _entries(ctx.session, before)
    said = [*_said(ctx.session, entries), *_published(ctx.session, settings)]
    ctx.uow.end_read()

    def move(session: Session) -> bool:
        return _move(session, before, before + len(entries))

    if said:
        return len(entries) if row.write(ctx, settings.issuer, told.signer(ctx, settings, hsm), said, move) else 0
    if not entries:
        return 0
    return len(entries) if ctx.uow.separately(move) else 0


def _cursor(session: Session) -> int | None:
    return session.scalar(select(ReservedNumber.told).where(ReservedNumber.name == CURSOR))


def _begin(session: Session, size: int, ctx: Context) -> None:
    noted = {"noted": 0, "noted_at": ctx.now, "noted_before": 0, "noted_before_at": ctx.now}
    new = upsert(session, ReservedNumber).values(name=CURSOR, reserved=size, told=size, **noted)
    session.execute(new.on_conflict_do_nothing(index_elements=["name"]))


def _move(session: Session, before: int, after: int) -> bool:
    """Note that entries were made statements of. Return False if another process did."""
    same = update(ReservedNumber).where(ReservedNumber.name == CURSOR, ReservedNumber.told == before)
    return changed(session.execute(same.values(told=after, reserved=after).execution_options(synchronize_session=False))) == 1


def _entries(session: Session, after: int) -> Sequence[Any]:
    query = select(
        AuditEntry.id, AuditEntry.at, AuditEntry.action, AuditEntry.object_kind, AuditEntry.object_id, AuditEntry.organisation_id
    ).join(LogLeaf, LogLeaf.entry_id == AuditEntry.id)
    return session.execute(query.where(LogLeaf.seq >= after).order_by(LogLeaf.seq).limit(AT_ONCE)).all()


def _said(session: Session, entries: Sequence[Row[Any]]) -> Iterator[Said]:
    """Yield what these entries are told as: what ended, who and what was disabled, and everything that was made or moved on."""
    by_act = {one.id: one for one in entries}
    manifests, cards = _manifests(session, by_act), _cards(session, by_act)
    ended = [one for one in (*manifests, *cards) if one.pop("ended")]
    disabled = [*_users(session, entries), *_keys(session, entries)]
    made = [_act(one) for one in entries if one.object_kind in TOLD and one.action not in READ]
    living = [one for one in (*manifests, *cards) if one not in ended]
    for kind, items in ((Kind.REVOKED, ended), (Kind.DISABLED, disabled), (Kind.MADE, [*made, *living])):
        if items:
            yield Said(kind, {"items": items})


def _act(entry: Row[Any]) -> dict[str, Any]:
    organisation = str(entry.organisation_id) if entry.organisation_id else ""
    return {
        "kind": entry.object_kind, "id": entry.object_id, "action": entry.action, "organisation": organisation, "entry": str(entry.id),
        "at": int(entry.at.timestamp()),
    }  # fmt: skip


def _of(entry: Row[Any]) -> dict[str, Any]:
    return {"entry": str(entry.id), "at": int(entry.at.timestamp())}


def _manifests(session: Session, acts: dict[UUID, Row[Any]]) -> list[dict[str, Any]]:
    query = select(Manifest, Card.uid).join(Card, Card.id == Manifest.card_id).where(among(session, Manifest.act_id, acts))
    return [
        {
            "kind": "manifest", "id": str(one.id), "state": one.state, "uid": uid, "card": str(one.card_id), "epoch": one.epoch,
            "seq": one.seq, "list": one.status_list, "index": one.status_index, "organisation": str(one.organisation_id),
            "ended": one.state != ManifestState.ACTIVE, **_of(acts[one.act_id]),
        }
        for one, uid in session.execute(query)
    ]  # fmt: skip


def _cards(session: Session, acts: dict[UUID, Row[Any]]) -> list[dict[str, Any]]:
    query = select(Card.id, Card.uid, Card.state, Card.act_id).where(among(session, Card.act_id, acts))
    return [
        {"kind": "card", "id": str(one.id), "uid": one.uid, "state": one.state, "ended": one.state in ENDED_CARDS, **_of(acts[one.act_id])}
        for one in session.execute(query)
    ]


def _users(session: Session, entries: Sequence[Row[Any]]) -> Iterator[dict[str, Any]]:
    named = _named(entries, "user")
    query = select(User.id, User.username).where(among(session, User.id, named), User.state == AccountState.DISABLED)
    for one in session.execute(query) if named else ():
        yield {"kind": "user", "id": str(one.id), "name": one.username, "state": AccountState.DISABLED.value, **_of(named[one.id])}


def _named(entries: Sequence[Row[Any]], kind: str) -> dict[UUID, Row[Any]]:
    """Return the newest entry of each object of a kind. An entry that names none (a refusal) is passed over."""
    found = {}
    for one in entries:
        if one.object_kind == kind:
            with suppress(ValueError):
                found[UUID(one.object_id)] = one
    return found


def _keys(session: Session, entries: Sequence[Row[Any]]) -> Iterator[dict[str, Any]]:
    named = _named(entries, "api_key")
    query = select(ApiKey.id, ApiKey.prefix).where(among(session, ApiKey.id, named), ApiKey.revoked_at.is_not(None))
    for one in session.execute(query) if named else ():
        yield {"kind": "api_key", "id": str(one.id), "name": one.prefix, "state": "revoked", **_of(named[one.id])}


def _published(session: Session, settings: Settings) -> Iterator[Said]:
    """Yield keyset and checkpoint, where the newest is not told yet."""
    try:
        trust = keyset.load(settings)
    except Unavailable:
        return
    if _newest(session, Kind.KEYSET) < trust.keyset.version:
        about = {"version": trust.keyset.version, "epoch": trust.epoch, "jws": trust.file.decode()}
        yield Said(Kind.KEYSET, about, "", trust.keyset.version)
    last = session.scalars(select(LogCheckpoint).order_by(LogCheckpoint.size.desc()).limit(1)).first()
    subject = log_subject(last.origin) if last is not None else ""
    if last is not None and _newest(session, Kind.CHECKPOINT, subject) < last.size:
        yield Said(Kind.CHECKPOINT, {"origin": last.origin, "size": last.size, "note": last.note}, subject, last.size)


def _newest(session: Session, kind: Kind, subject: str = "") -> int:
    about = (WitnessStatement.kind == kind, WitnessStatement.subject == subject)
    return session.scalar(select(func.max(WitnessStatement.value)).where(*about)) or 0
