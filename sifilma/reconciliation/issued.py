"""What a restored database does about what was issued after its backup: papers, status lists, tokens, manifests and cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from manifests.status import StatusValue, parse_status
from sifilma.activation.manifests.revocation import STANDING, withdraw
from sifilma.activation.models import Manifest, ManifestState, PublishedStatusList, StatusList, Token, TokenState
from sifilma.activation.trust import status_list
from sifilma.activation.trust.models import StatusBeyond
from sifilma.audit.models import Action, AuditEntry
from sifilma.audit.service import record
from sifilma.cards.models import CARD, Card, CardState
from sifilma.documents import numbering
from sifilma.documents.indonesian import WIB
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert
from sifilma.kernel.text import say
from sifilma.reconciliation.beyond import Beyond
from sifilma.witness.statements import Kind

PAPERS = numbering.PAPERS
NOTE = say("The witness knows that it ended after the backup that was brought back.")
FALLEN = (CardState.DAMAGED, CardState.LOCKED, CardState.LOST, CardState.REVOKED)


def skip_papers(ctx: Context, end: int) -> int:
    """Leave out as many numbers of each series as papers may have been numbered in the lost time. Return how many those are."""
    numbers = end - numbering.given(ctx.session)
    newest = ctx.session.scalar(select(AuditEntry.at).order_by(AuditEntry.id.desc()).limit(1)) or ctx.now
    if numbers > 0:
        numbering.skip(ctx.session, numbers, range(newest.astimezone(WIB).year, ctx.now.astimezone(WIB).year + 1))
    return max(numbers, 0)


def numbers(session: Session) -> Sequence[int]:
    """Return the numbers of all lists."""
    return session.scalars(select(StatusList.number).order_by(StatusList.number)).all()


def newest_seq(session: Session, number: int) -> int:
    """Return the sequence of the newest publication of a list, 0 without one."""
    return session.scalar(select(func.max(PublishedStatusList.seq)).where(PublishedStatusList.number == number)) or 0


def next_list(session: Session, found: Beyond) -> int:
    """Return the number of the first list that nobody can have seen: after all that the witness or the database know, or reserved."""
    named = [int(name.removeprefix(status_list.INDEXES)) for name in found.ends if name.startswith(status_list.INDEXES)]
    reserved_ = status_list.highest_reserved(session)
    return max([0, reserved_, *numbers(session), *found.lists, *named]) + 1


def open_tokens(ctx: Context) -> int:
    """Return how many tokens are open. Ends the reading transaction."""
    ctx.uow.begin_read()
    count = ctx.session.scalar(select(func.count()).where(Token.state == TokenState.ISSUED)) or 0
    ctx.uow.end_read()
    return count


def adopt_lists(ctx: Context, found: Beyond) -> None:
    """Store the newest publication of each list that the witness knows, and what it says of indexes without a manifest here."""
    session = ctx.session
    for number, (seq, line) in sorted(found.lists.items()):
        signed = parse_status(line.encode())[1]
        new = upsert(session, StatusList).values(number=number, size=len(signed.unpacked()) * 4, next_index=0, changes=1, moved=0)
        session.execute(new.on_conflict_do_nothing(index_elements=["number"]))
        moments = {"issued_at": datetime.fromtimestamp(signed.iat, UTC), "expires_at": datetime.fromtimestamp(signed.exp, UTC)}
        row = upsert(session, PublishedStatusList).values(number=number, seq=seq, changes=0, jws=line, **moments)
        if seq > newest_seq(session, number):
            session.execute(row.on_conflict_do_nothing(index_elements=["number", "seq"]))
        known = set(session.scalars(select(Manifest.status_index).where(Manifest.status_list == number)))
        values = signed.entries() | dict.fromkeys(found.revoked.get(number, ()), StatusValue.REVOKED)
        for index, value in sorted(values.items()):
            if value is StatusValue.SUSPENDED or index not in known:
                stated = {"status_list": number, "status_index": index, "value": int(value)}
                session.execute(
                    upsert(session, StatusBeyond).values(stated).on_conflict_do_nothing(index_elements=["status_list", "status_index"])
                )


def move_tokens(ctx: Context, settings: Settings, number: int) -> int:
    """Open a list, and give every open token an index of it: the index that it has may have been used after the backup."""
    session = ctx.session
    open_ = session.execute(
        select(Token.id, Token.status_list).where(Token.state == TokenState.ISSUED, Token.status_list < number).order_by(Token.id)
    ).all()
    size = max(settings.status_list_size, len(open_))
    status_list.open_list(session, number, size + -size % 4)
    places = status_list.reserve(session, len(open_), size)
    left: dict[int, int] = {}
    for (token_id, former), (list_, index) in zip(open_, places, strict=True):
        place = update(Token).where(Token.id == token_id).values(status_list=list_, status_index=index)
        session.execute(place.execution_options(synchronize_session=False))
        left[former] = left.get(former, 0) + 1
    for former, count in sorted(left.items()):
        moved = update(StatusList).where(StatusList.number == former).values(moved=StatusList.moved + count)
        session.execute(moved.execution_options(synchronize_session=False))
    return len(open_)


def end_again(ctx: Context, found: Beyond) -> str:
    """End what the witness knows to have ended: cards that were reported, then manifests whose index is revoked."""
    cards = sum(_fall(ctx, item) for item in found.items.get(Kind.REVOKED, []) if item["kind"] == "card")
    manifests = 0
    for manifest in _revoked(ctx.session, found):
        facts: dict[str, Any] = {"organisation_id": manifest.organisation_id, "reason": str(NOTE)}
        act = record(ctx, Action.MANIFEST_REVOKE, "manifest", manifest.id, **facts)
        withdraw(ctx.session, manifest, ManifestState.REVOKED, act, NOTE)
        manifests += 1
    return f"{cards} cards and {manifests} manifests ended again"


def _fall(ctx: Context, item: dict[str, Any]) -> bool:
    card = ctx.session.get(Card, UUID(item["id"]))
    if card is None or item["state"] not in FALLEN or card.state == item["state"] or not CARD.allows(card.state, item["state"]):
        return False
    act = record(ctx, Action.CARD_REPORT, "card", card.id, organisation_id=card.holder_id, condition=item["state"], note=str(NOTE))
    CARD.move(ctx.session, card, item["state"], act, NOTE)
    ctx.session.flush()
    return True


def _revoked(session: Session, found: Beyond) -> Iterator[Manifest]:
    """Yield the manifests that stand here and whose index any witnessed list revoked, or that were told as ended."""
    told = {UUID(item["id"]) for item in found.items.get(Kind.REVOKED, []) if item["kind"] == "manifest" and item["state"] != "suspended"}
    for manifest in session.scalars(select(Manifest).where(Manifest.state.in_(STANDING)).order_by(Manifest.id)).all():
        if manifest.id in told or manifest.status_index in found.revoked.get(manifest.status_list, ()):
            yield manifest
