"""Signed status lists. Indexes are reserved with the tokens; a list is published anew when something in it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from hsm import HSM, HSMError
from manifests.status import StatusList as SignedList
from manifests.status import StatusRefused, StatusValue, parse_status, sign_status, split_status
from sifilma.activation.models import Manifest, ManifestState, PublishedStatusList, StatusList
from sifilma.activation.trust import keyset, told
from sifilma.activation.trust.models import StatusBeyond
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert
from sifilma.kernel.errors import ClockNotTrusted, KeyOutsidePeriod, NotFound, Unavailable
from sifilma.kernel.ids import uuid7
from sifilma.witness import reserved
from sifilma.witness.models import ReservedNumber
from sifilma.witness.reserved import Need, NumbersNotTold
from sifilma.witness.standing import BehindWitness

LABEL = "status-sign"
INDEXES = "status-list/"
SEQUENCES = 1000
"""Publications of a list that are reserved ahead."""
log = structlog.get_logger()
AHEAD = timedelta(seconds=5)
"""A list dated later than this is signed anew: verifiers may refuse it. The clocks of nodes may
differ by more (the tolerance of the clock): a node that is behind then signs it anew."""
VALUES = {
    ManifestState.SUSPENDED: StatusValue.SUSPENDED,
    ManifestState.SUPERSEDED: StatusValue.REVOKED,
    ManifestState.REVOKED: StatusValue.REVOKED,
    ManifestState.EXPIRED: StatusValue.REVOKED,
}


def newest_moment_query() -> Select[datetime]:
    """Return a query of the moments at which lists were signed, the latest first."""
    return select(PublishedStatusList.issued_at).order_by(PublishedStatusList.issued_at.desc())


def needs(session: Session, settings: Settings) -> Iterator[Need]:
    """Yield the counters of status lists: the indexes that were given out of each list, and its sequence; those of the next list, too."""
    newest = (
        select(func.coalesce(func.max(PublishedStatusList.seq), 0)).where(PublishedStatusList.number == StatusList.number).scalar_subquery()
    )
    number = 0
    rows = session.execute(select(StatusList.number, StatusList.next_index, newest).order_by(StatusList.number)).all()
    for number, next_index, seq in rows:
        yield Need(index_counter(number), next_index, settings.witness_block if number == rows[-1].number else 0)
        yield Need(sequence_counter(number), seq, SEQUENCES)
    yield Need(index_counter(number + 1), 0, settings.witness_block)
    yield Need(sequence_counter(number + 1), 0, SEQUENCES)


def index_counter(number: int) -> str:
    """Return the name of the counter of a list's indexes. Its end is how many of them may leave."""
    return f"{INDEXES}{number}"


def sequence_counter(number: int) -> str:
    """Return the name of the counter of a list's publications."""
    return f"status-sequence/{number}"


def highest_reserved(session: Session) -> int:
    """Return the highest number of a list of which indexes were reserved, 0 without any."""
    names = session.scalars(select(ReservedNumber.name).where(ReservedNumber.name.startswith(INDEXES, autoescape=True)))
    return max((int(name.removeprefix(INDEXES)) for name in names), default=0)


def reserve(session: Session, count: int, size: int) -> list[tuple[int, int]]:
    """Reserve the next `count` free pairs of list and index. A full list is followed by a new one.

    Raise NumbersNotTold if the witness does not know the end of the block.
    """
    places: list[tuple[int, int]] = []
    while len(places) < count:
        number = session.scalar(select(StatusList.number).order_by(StatusList.number.desc()).limit(1))
        wanted = count - len(places)
        taken = _take(session, number, wanted) if number is not None else []
        if not taken:
            open_list(session, (number or 0) + 1, size)
        places += taken
    return places


def _take(session: Session, number: int, wanted: int) -> list[tuple[int, int]]:
    """Take as many of `wanted` indexes as the list still has, under the lock of its row."""
    row = session.execute(select(StatusList.next_index, StatusList.size).where(StatusList.number == number).with_for_update()).one()
    count = min(wanted, row.size - row.next_index)
    if count > 0:
        reserved.require(session, index_counter(number), row.next_index + count)
        statement = update(StatusList).where(StatusList.number == number).values(next_index=StatusList.next_index + count)
        session.execute(statement.execution_options(synchronize_session=False))
    return [(number, row.next_index + offset) for offset in range(count)]


def open_list(session: Session, number: int, size: int) -> None:
    """Open a list, if it is not open: of all lists, the one with the highest number gives out indexes."""
    statement = upsert(session, StatusList).values(number=number, size=size, next_index=0, changes=1)
    session.execute(statement.on_conflict_do_nothing(index_elements=["number"]))


def uri(public_url: str, number: int) -> str:
    """Return the URL of a list. Manifests carry it, so it must not change."""
    return f"{public_url}/status/{number}.jws"


def current(ctx: Context, settings: Settings, hsm: HSM, number: int, *, after: int = 0) -> str:
    """Return the list as a signed line: the last publication, or a new one if something changed or half its validity is over.

    A publication dated later than now is replaced. While the clock is not trusted the last one is returned, whatever changed: readers
    judge it by clocks of their own. Raise NotFound for an unknown list, ClockNotTrusted if there is no publication yet, and Unavailable
    without a usable keyset. Once revoked, an index stays revoked, and `seq` only grows, even if an older database was restored: the last
    publication is also kept in a file (docs/manifest.md, Status). With `after` it is signed anew, with a sequence beyond it.
    """
    kept_seq, kept = _kept(settings, number)  # before the database: a publication in between must not look like a restored, older database
    row = ctx.session.get(StatusList, number)
    if row is None:
        raise NotFound("There is no such status list.")
    changes, size = row.changes, row.size  # before the entries: a change in between is then published next time
    last = _last(ctx.session, number)
    published, previous = (last.seq, last.jws) if last is not None else (0, None)
    if last is not None and not after and kept_seq <= published and last.changes == changes and _is_good(last, ctx.now, settings):
        return last.jws
    newest = kept if kept_seq > published else previous
    if newest is not None and _is_hindered(ctx):
        return newest
    ctx.require_trusted_clock()
    entries = _entries(ctx.session, number)
    if kept_seq > published:  # an older database was restored: continue after what was published
        published, previous = kept_seq, kept
    published = max(published, after)
    reserved.require(ctx.session, sequence_counter(number), published + 1)
    ctx.uow.end_read()
    issued = ctx.trusted_now
    for index in _revoked(previous):
        entries[index] = StatusValue.REVOKED
    expires = issued + timedelta(hours=settings.status_list_hours)
    made = SignedList.build(
        iss=settings.issuer,
        number=number,
        seq=published + 1,
        iat=int(issued.timestamp()),
        exp=int(expires.timestamp()),
        size=size,
        entries=sorted(entries.items()),
    )
    line = hsm.through(lambda token: _sign(token, settings, made, issued))
    is_fresh = last is not None and _is_fresh(last, issued, settings)
    if not told.tell_list(ctx, settings, hsm, made, line, anyway=not is_fresh) and is_fresh:
        raise ListNotTold()
    ctx.uow.begin_write()
    return _publish(
        ctx, settings, PublishedStatusList(number=number, seq=made.seq, changes=changes, jws=line, issued_at=issued, expires_at=expires)
    )


def _sign(token: HSM, settings: Settings, made: SignedList, issued: datetime) -> str:
    """Sign a list with one token, whose key it names."""
    signer = keyset.signer(settings, token, LABEL, issued)
    return sign_status(made, signer.kid, lambda digest: token.sign(signer.label, digest))


def _is_fresh(last: PublishedStatusList, now: datetime, settings: Settings) -> bool:
    """Return whether a publication is not past half its life, and not dated later than now."""
    return last.issued_at <= now + AHEAD and last.expires_at > now + timedelta(hours=settings.status_list_hours) / 2


def _is_good(last: PublishedStatusList, now: datetime, settings: Settings) -> bool:
    """Return whether a publication in which nothing has changed is served as it is."""
    return _is_fresh(last, now, settings) and not _is_revoked(last.jws, settings)


def _is_revoked(line: str, settings: Settings) -> bool:
    """Return whether the key of a publication was revoked since: readers refuse it. Without a usable keyset nothing better can be made."""
    try:
        revoked = {key.kid for key in keyset.load(settings).keyset.keys if key.use == "status" and key.revoked_at is not None}
    except Unavailable:
        return False
    return bool(revoked) and split_status(line.encode()).kid in revoked


def _is_hindered(ctx: Context) -> bool:
    """Return whether nothing is signed: the clock is in doubt, or the database is behind its witness."""
    try:
        ctx.require_trusted_clock()
    except (ClockNotTrusted, BehindWitness):
        return True
    return False


@dataclass(frozen=True)
class Served:
    """A list as a signed line.

    `hindered` is empty where it says what is known now; else it is the last publication, what changed since is missing, and this is why it
    was not signed anew: `hsm`, `key` or `witness`.
    """

    line: str
    hindered: str = ""


def serve(ctx: Context, settings: Settings, hsm: HSM, number: int) -> Served:
    """Return what `current` returns; while nothing can be signed, the last publication for as long as it is valid.

    Readers hold that publication anyway, and rely on it to its end. Without it they would refuse every manifest while the HSM is away.
    So it is while the witness is away, for the first half of its validity: a list is told before it is served, and readers hold the former
    one anyway. Raise as `current` does once it has expired.
    """
    try:
        return Served(current(ctx, settings, hsm, number))
    except (HSMError, KeyOutsidePeriod, ListNotTold, NumbersNotTold) as away:
        ctx.uow.begin_read()
        line, listed = _newest(ctx.session, settings, number)
        if line is None or listed is None or listed.exp <= ctx.now.timestamp():
            raise
        log.warning("status_list_not_renewed", number=number, seq=listed.seq, exp=listed.exp, reason=str(away))
        return Served(line, _hindrance(away))


class ListNotTold(Unavailable):
    """The witness is away, and the publication of before is still in the first half of its validity."""

    type = "witness-not-told"


def _hindrance(away: Exception) -> str:
    if isinstance(away, HSMError):
        return "hsm"
    return "key" if isinstance(away, KeyOutsidePeriod) else "witness"


def _newest(session: Session, settings: Settings, number: int) -> tuple[str | None, SignedList | None]:
    """Return the newest publication, of the database or the file, as a line and read; None without one."""
    kept_seq, line = _kept(settings, number)
    last = _last(session, number)
    if last is not None and last.seq >= kept_seq:
        line = last.jws
    return line, parse_status(line.encode())[1] if line is not None else None


def _last(session: Session, number: int) -> PublishedStatusList | None:
    query = select(PublishedStatusList).where(PublishedStatusList.number == number)
    return session.scalars(query.order_by(PublishedStatusList.seq.desc()).limit(1)).first()


def _entries(session: Session, number: int) -> dict[int, StatusValue]:
    """Return what is not VALID: what the witness told beyond the database, then what the database says. What is REVOKED by either is so."""
    beyond = select(StatusBeyond.status_index, StatusBeyond.value).where(StatusBeyond.status_list == number, StatusBeyond.value > 0)
    found = {index: StatusValue(value) for index, value in session.execute(beyond)}
    rows = session.execute(select(Manifest.status_index, Manifest.state).where(Manifest.status_list == number, Manifest.state.in_(VALUES)))
    return found | {index: VALUES[ManifestState(state)] for index, state in rows if found.get(index) is not StatusValue.REVOKED}


def _revoked(line: str | None) -> list[int]:
    """Return the indexes that an earlier publication revoked. They stay revoked, whatever the database says now."""
    listed = parse_status(line.encode())[1].entries() if line is not None else {}
    return [index for index, value in listed.items() if value is StatusValue.REVOKED]


def _publish(ctx: Context, settings: Settings, new: PublishedStatusList) -> str:
    """Store the publication in the database and in the file. Of two concurrent ones the first counts. Return the line that counts."""
    session = ctx.session
    values = {c.name: getattr(new, c.name) for c in PublishedStatusList.__table__.columns}
    session.execute(upsert(session, PublishedStatusList).values(values).on_conflict_do_nothing(index_elements=["number", "seq"]))
    last = _last(session, new.number)
    assert last is not None  # noqa: S101  # inserted above, by us or by another
    _keep(settings, new.number, last.jws)
    return last.jws


def _path(settings: Settings, number: int) -> Path:
    return settings.trust / f"status-{number}.jws"


def _kept(settings: Settings, number: int) -> tuple[int, str | None]:
    """Return sequence and line of the copy in the file, or 0 and None without a readable one."""
    try:
        line = _path(settings, number).read_text()
        return parse_status(line.encode())[1].seq, line
    except (OSError, StatusRefused):
        return 0, None


def _keep(settings: Settings, number: int, line: str) -> None:
    path = _path(settings, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid7().hex}")
    temporary.write_text(line)
    temporary.replace(path)
