"""Reconcile a restored database with the witness: nothing is given out twice, what ended stays ended, people decide the rest.

Each step is done in transactions of its own and noted; what was broken off goes on at the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from hsm import HSM
from sifilma.activation.trust import ceremonies, keyset, status_list, told
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.kernel.actor import Actor
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert
from sifilma.kernel.errors import Conflict
from sifilma.kernel.ids import uuid7
from sifilma.reconciliation import authority, beyond, issued, questions
from sifilma.reconciliation.beyond import Beyond
from sifilma.witness import reserved, row, standing
from sifilma.witness.contract import Witness
from sifilma.witness.models import Reconciliation, ReservedNumber, Step
from sifilma.witness.row import Said
from sifilma.witness.standing import State
from sifilma.witness.statements import Kind

Contexts = Callable[[], AbstractContextManager[Context]]
KIND = "reconciliation"
ORDER = (Step.WANTED, Step.COUNTERS, Step.KEYSET, Step.LISTS, Step.AUTHORITY, Step.REVOCATIONS, Step.QUESTIONS, Step.DONE)


@dataclass(frozen=True)
class Held:
    """What a reconciliation works with: where contexts come from, the token that signs, the root, and the people who hold it."""

    contexts: Contexts
    settings: Settings
    hsm: HSM
    root: HSM
    witness: Witness
    people: Sequence[Actor]

    @property
    def actor(self) -> Actor:
        """Return whose acts the steps are."""
        return self.people[0]


def want(session: Session, now: Any) -> None:
    """Note in a database that was just brought back that it is to be reconciled, if none is open. Nothing is issued until then."""
    if find_open(session) is None:
        session.add(Reconciliation(id=uuid7(), step=Step.WANTED.value, begun_at=now))
        session.flush()


def find_open(session: Session) -> Reconciliation | None:
    """Return the reconciliation that was begun and has not ended."""
    return session.scalars(select(Reconciliation).where(Reconciliation.ended_at.is_(None)).order_by(Reconciliation.begun_at)).first()


def reconcile(held: Held, said: Callable[[str], None]) -> None:
    """Do every step that is not done yet, and say each.

    Raise Conflict if the database is not behind, WitnessAway if the witness cannot be asked or told, StatementRefused for a chain that is
    broken, and what the HSM raises.
    """
    with held.contexts() as ctx:
        stand = standing.of(ctx.session)
        ctx.uow.rollback()
    with stand.lifted():
        beyond.bring_keyset(held.settings, held.witness)
        _begin(held)
        with held.contexts() as ctx:
            ctx.uow.begin_read()
            open_ = _open(ctx.session)
            shared = _shared(ctx.session, open_.own)
            upto, step = open_.statements, Step(open_.step)
        found = beyond.read(held.settings, held.witness, shared, upto)
        for each in ORDER[ORDER.index(step) + 1 :]:
            told_ = STEPS[each](held, found)
            with held.contexts() as ctx:
                _note(ctx, held, each, told_)
            said(f"{each}: {told_}")
    stand.begin()


def _open(session: Session) -> Reconciliation:
    found = find_open(session)
    assert found is not None  # noqa: S101  # `_begin` made one
    return found


def _shared(session: Session, own: int) -> tuple[int, str]:
    return (own, standing.sha256_of(session, own)) if own else (0, "")


def _begin(held: Held) -> None:
    """Find out from where on the database lacks statements, and note it once: later steps add statements of their own."""
    with held.contexts() as ctx:
        ctx.uow.begin_read()
        open_ = find_open(ctx.session)
        if open_ is not None and (open_.statements or open_.step != Step.WANTED):
            return
        count = held.witness.count()
        state = standing.of(ctx.session).compare(ctx.session).state
        if open_ is None and state is not State.BEHIND:
            raise Conflict("This database knows all that its witness knows: there is nothing to reconcile.", type="not-behind")
        own, _ = beyond.common(ctx.session, held.witness, count)
        ctx.uow.begin_write()
        want(ctx.session, ctx.now)
        open_ = _open(ctx.session)
        open_.own, open_.statements = own, count
        ctx.session.flush()


def _note(ctx: Context, held: Held, step: Step, told_: str) -> None:
    open_ = _open(ctx.session)
    open_.step = step.value
    if step is Step.DONE:
        open_.ended_at = ctx.now
    for one in held.people if step is Step.DONE else held.people[:1]:
        record(replace(ctx, actor=one), Action.RESTORE_RECONCILE, KIND, open_.id, step=step.value, done=told_, statements=open_.statements)
    ctx.session.flush()


# --- the steps: each may be repeated -----------------------------------------------------------------------------------------


def _counters(held: Held, found: Beyond) -> str:
    """Take the witness's statements over, and move every counter to where the witness knows it to be."""
    with held.contexts() as ctx:
        open_ = _open(ctx.session)
        papers = max(found.ends.get(issued.PAPERS, 0), reserved.told(ctx.session, issued.PAPERS))
        beyond.adopt(ctx, ctx.session, open_.own, found)
        for name, end in sorted(found.ends.items()):
            noted = {"noted": 0, "noted_at": ctx.now, "noted_before": 0, "noted_before_at": ctx.now}
            new = upsert(ctx.session, ReservedNumber).values(name=name, reserved=end, told=end, **noted)
            higher = {"told": end, "reserved": end}
            ctx.session.execute(new.on_conflict_do_update(index_elements=["name"], set_=higher, where=ReservedNumber.reserved <= end))
            later = update(ReservedNumber).where(ReservedNumber.name == name, ReservedNumber.told < end)
            ctx.session.execute(later.values(told=end).execution_options(synchronize_session=False))
        skipped = issued.skip_papers(ctx, papers)
        open_.step = Step.COUNTERS.value  # in this transaction: papers are skipped once
    return f"{len(found.rows)} statements taken over, {len(found.ends)} counters moved on, {skipped} numbers of each series left out"


def _keyset(held: Held, found: Beyond) -> str:
    """Raise the epoch by a new keyset: what was signed in the lost time and what is signed from now on never have the same number."""
    with held.contexts() as ctx:
        ctx.uow.begin_read()
        version = reserved.told(ctx.session, ceremonies.VERSION)
        known = max(reserved.told(ctx.session, ceremonies.EPOCH), found.epoch)
        lost = reserved.untold(ctx.session)
        ctx.uow.end_read()
        before = keyset.newest_of(held.settings, found.keyset[1].encode())
        version, epoch = max(version, before.keyset.version) + 1, max(known, before.epoch) + 1
        ends = {ceremonies.VERSION: version + ceremonies.VERSIONS, ceremonies.EPOCH: epoch}
        # What this database had reserved, and its statements that told it were given up for the witness's: it is told again.
        _tell(ctx, held, lost | ends)
        trust = keyset.raise_epoch(held.settings, held.root, before, version, epoch)
        ctx.uow.begin_write()
        ceremonies.record_ceremony(replace(ctx, actor=held.actor), held.settings, trust)
        open_ = _open(ctx.session)
        open_.epoch, open_.log_name = epoch, f"{held.settings.log_name}/{epoch}"
        ctx.session.flush()
    return f"keyset version {version}, epoch {epoch}"


def _tell(ctx: Context, held: Held, ends: dict[str, int]) -> None:
    """Reserve these ends and have the witness know them now. Raise WitnessAway."""

    def higher(session: Session) -> bool:
        known = {one.name: one.reserved for one in session.scalars(select(ReservedNumber))}
        return reserved.raise_to(session, {name: end for name, end in ends.items() if end > known.get(name, -1)}, {}, ctx.now)

    sign = told.signer(ctx, held.settings, held.hsm)
    said = [Said(Kind.RESERVED, {"name": name, "end": end}, name, end) for name, end in sorted(ends.items())]
    if not any(row.write(ctx, held.settings.issuer, sign, said, higher) for _ in range(told.TRIES)):
        raise Conflict("Another process writes statements for the witness: stop server and worker first.")
    row.send(ctx, held.witness)


def _lists(held: Held, found: Beyond) -> str:
    """Have every list go on from what the witness knows, and open a new one: the former ones give out no index any more."""
    with held.contexts() as ctx:
        ctx.uow.begin_read()
        number = issued.next_list(ctx.session, found)
        ctx.uow.end_read()
        block = held.settings.witness_block
        ends = {
            status_list.index_counter(number): issued.open_tokens(ctx) + block,
            status_list.sequence_counter(number): status_list.SEQUENCES,
        }
        _tell(ctx, held, ends)
        ctx.uow.begin_write()
        issued.adopt_lists(ctx, found)
        moved = issued.move_tokens(ctx, held.settings, number)
        _open(ctx.session).step = Step.LISTS.value  # in this transaction: there is one new list
        ctx.session.flush()
    return f"list {number} is open, {moved} open tokens have indexes of it, {len(found.lists)} lists go on from the witness's"


def _authority(held: Held, found: Beyond) -> str:
    with held.contexts() as ctx:
        return authority.end(replace(ctx, actor=held.actor), found)


def _revocations(held: Held, found: Beyond) -> str:
    with held.contexts() as ctx:
        return issued.end_again(replace(ctx, actor=held.actor), found)


def _questions(held: Held, found: Beyond) -> str:
    with held.contexts() as ctx:
        return f"{questions.ask(ctx, _open(ctx.session).id, found)} questions for people"


def _done(held: Held, found: Beyond) -> str:
    """Sign every former list on, beyond each sequence that the witness reserved, reserve ahead, and tell the witness that this is done."""
    del found
    with held.contexts() as ctx:
        ctx.uow.begin_read()
        lists = list(issued.numbers(ctx.session))
    for number in lists:
        with held.contexts() as ctx:
            _sign_on(ctx, held, number)
    with held.contexts() as ctx:
        reserved.ahead(ctx, held.settings, told.signer(ctx, held.settings, held.hsm))
        ctx.uow.begin_read()
        open_ = _open(ctx.session)
        about = {"epoch": open_.epoch, "statements": open_.statements, "log": open_.log_name}
        ctx.uow.end_read()
        told.tell(ctx, held.settings, held.hsm, [Said(Kind.RECONCILED, about)])
    return f"{len(lists)} lists signed on"


def _sign_on(ctx: Context, held: Held, number: int) -> None:
    """Publish a list with a sequence beyond all that may have been served."""
    ctx.uow.begin_read()
    name = status_list.sequence_counter(number)
    end, newest = reserved.told(ctx.session, name), issued.newest_seq(ctx.session, number)
    ctx.uow.end_read()
    _tell(ctx, held, {name: max(end, newest) + status_list.SEQUENCES})
    ctx.uow.begin_read()
    status_list.current(ctx, held.settings, held.hsm, number, after=max(end, newest))


STEPS: dict[Step, Callable[[Held, Beyond], str]] = {
    Step.COUNTERS: _counters,
    Step.KEYSET: _keyset,
    Step.LISTS: _lists,
    Step.AUTHORITY: _authority,
    Step.REVOCATIONS: _revocations,
    Step.QUESTIONS: _questions,
    Step.DONE: _done,
}
