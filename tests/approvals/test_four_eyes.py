"""May this person decide? Service, queue and trigger are asked the same, over a table of cases, and answer the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sifilma.accounts.proposals import PROPOSALS as USER_CHANGES
from sifilma.activation.manifests.revocation import PROPOSALS as REVOCATIONS
from sifilma.activation.requests.service import WAY as ACTIVATION
from sifilma.approvals import four_eyes
from sifilma.approvals.four_eyes import Objection
from sifilma.approvals.models import ProposalState
from sifilma.approvals.proposals import Proposals
from sifilma.approvals.service import Submissions
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.destruction.service import WAY as DESTRUCTION
from sifilma.identity.models import User
from sifilma.kernel import triggers
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Context
from sifilma.kernel.db import make_engine
from sifilma.kernel.ids import uuid7
from sifilma.oversight.cases import WAY as MODEL_CASE
from sifilma.oversight.reference import PROPOSALS as REFERENCE
from sifilma.personalisation.service import WAY as PERSONALISATION
from tests.accounts.known_people import further_account
from tests.oversight.case_steps import recorded
from tests.oversight.test_reference import proposed
from tests.support.visitor import one_id
from tests.support.world import World, done

OTHER = "0" * 64
Predicate = Callable[[Any, Any, str, UUID | None], ColumnElement[bool]]
Found = dict[str, Objection | None]


@dataclass(frozen=True)
class Asked:
    """One question, and the three answers: what the service objects, whether the queue offers it, whether the trigger lets it pass."""

    who: str
    objection: Objection | None
    offered: bool
    passes: bool

    @property
    def agreed(self) -> bool:
        return (self.objection is None) == self.offered == self.passes


def approver_account(world: World, username: str) -> tuple[UUID, UUID]:
    """The person of an account, and an account of theirs as an approver: four eyes are about persons, not about roles."""
    name = f"{username}.kedua"
    if Role.APPROVER in world.roles_of(username):
        name = username
    elif name not in world.users:
        further_account(world, username, name, "penyetuju1", Role.APPROVER)
    return UUID(one_id(world, "SELECT person_id FROM user_account WHERE username = :name", name=name)), world.users[name]


def ask(world: World, way: Submissions, thing_id: UUID, who: str, predicate: Predicate = four_eyes.approvable) -> Asked:
    """Ask the three whether this person may approve the thing as it stands."""
    person_id, user_id = approver_account(world, who)
    with world.context() as ctx:
        thing = ctx.session.get_one(way.model, thing_id)
        objection = four_eyes.objection(thing, way.waiting, person_id, thing.digest)
        offered = select(way.model.id).where(way.model.id == thing_id, predicate(way.model, way.approval, way.waiting, person_id))
        is_offered = ctx.session.execute(offered).first() is not None
        passes = inserts(ctx.session, way, thing_id, person_id, user_id, thing.digest or OTHER)
    return Asked(who, objection, is_offered, passes)


def inserts(session: Session, way: Submissions, thing_id: UUID, person_id: UUID, user_id: UUID, digest: str) -> bool:
    """Whether the database takes this approval; it is taken back at once."""
    make: Any = way.approval
    parent = {f"{way.cycle.table}_id": thing_id}
    attempt = session.begin_nested()
    session.add(
        make(
            id=uuid7(),
            person_id=person_id,
            user_id=user_id,
            digest=digest,
            at=session.get_one(User, user_id).created_at,
            act_id=uuid7(),
            **parent,
        )
    )
    try:
        session.flush()
    except IntegrityError:
        attempt.rollback()
        return False
    attempt.rollback()
    return True


def found(world: World, way: Submissions, thing_id: UUID, *people: str) -> Found:
    """What each of these people is told, after all three agreed on it."""
    asked = [ask(world, way, thing_id, who) for who in people]
    assert all(one.agreed for one in asked), asked
    return {one.who: one.objection for one in asked}


PATHS = {"personalisation_request": "personalisation-requests", "activation_request": "activation-requests"}
PEOPLE = ("magetan.kepala", "penyetuju1", "penyetuju2")
NOT_WAITING, SUBMITTER, APPROVED = Objection.NOT_WAITING, Objection.SUBMITTER, Objection.APPROVED


def requested(world: World, way: Submissions) -> Any:
    if way is PERSONALISATION:
        return world.submitted()
    return world.requested("magetan.kepala", world.received())


@pytest.mark.parametrize("way", [PERSONALISATION, ACTIVATION], ids=lambda way: way.cycle.kind)
def test_service_queue_and_trigger_agree_through_the_life_of_a_request(world: World, way: Submissions) -> None:
    asked = requested(world, way)
    thing, path = UUID(asked["id"]), f"/{PATHS[way.cycle.kind]}/{asked['id']}"
    head, operator = world.client("magetan.kepala"), world.client("operator1")
    assert found(world, way, thing, *PEOPLE) == dict(zip(PEOPLE, (SUBMITTER, None, None), strict=True))

    world.approve(PATHS[way.cycle.kind], asked["id"], "penyetuju1")
    assert found(world, way, thing, *PEOPLE) == dict(zip(PEOPLE, (SUBMITTER, APPROVED, None), strict=True))

    done(operator.post(f"{path}/return", {"note": "Surat tidak terbaca."}))
    assert set(found(world, way, thing, *PEOPLE).values()) == {NOT_WAITING}

    done(head.post(f"{path}/submit"))  # the same content: the approval of it still counts
    assert found(world, way, thing, *PEOPLE) == dict(zip(PEOPLE, (SUBMITTER, APPROVED, None), strict=True))

    done(operator.post(f"{path}/return", {"note": "Catatan kurang."}))
    world.sql(f"UPDATE {way.cycle.table} SET notes = 'lebih lengkap'")
    done(head.post(f"{path}/submit"))  # another content: everybody looks again
    assert found(world, way, thing, *PEOPLE) == dict(zip(PEOPLE, (SUBMITTER, None, None), strict=True))

    world.approve(PATHS[way.cycle.kind], asked["id"], "penyetuju1", "penyetuju2")
    assert set(found(world, way, thing, *PEOPLE).values()) == {NOT_WAITING}


def test_a_destruction_and_a_certificate_are_approved_by_the_same_rule(world: World) -> None:
    uid = world.received()[0]
    done(world.client("magetan.kepala").post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "patah"}))
    proposal = done(world.client("magetan.kepala").post("/destructions", {"cause": "damaged", "cards": [uid], "note": "patah"}), 201)
    assert found(world, DESTRUCTION, UUID(proposal["id"]), *PEOPLE) == dict(zip(PEOPLE, (SUBMITTER, None, None), strict=True))
    world.approve("destructions", proposal["id"], "penyetuju1")
    assert set(found(world, DESTRUCTION, UUID(proposal["id"]), *PEOPLE).values()) == {NOT_WAITING}
    case = UUID(recorded(world).rsplit("/", 1)[1])
    assert found(world, MODEL_CASE, case, "operator1", "penyetuju1") == {"operator1": SUBMITTER, "penyetuju1": None}


def test_another_content_than_was_seen_is_refused_by_service_and_trigger(world: World) -> None:
    """The queue has no part in it: it shows what is there."""
    thing_id = UUID(world.submitted()["id"])
    person_id, user_id = approver_account(world, "penyetuju1")
    with world.context() as ctx:
        thing = ctx.session.get_one(PERSONALISATION.model, thing_id)
        assert four_eyes.objection(thing, "submitted", person_id, OTHER) is Objection.OTHER_CONTENT
        assert not inserts(ctx.session, PERSONALISATION, thing_id, person_id, user_id, OTHER)


def test_what_nobody_submitted_and_who_is_nobody_are_refused_by_all(world: World) -> None:
    thing_id = UUID(world.submitted()["id"])
    with world.context() as ctx:
        thing = ctx.session.get_one(PERSONALISATION.model, thing_id)
        assert four_eyes.objection(thing, "submitted", None, thing.digest) is SUBMITTER
        nobody = four_eyes.approvable(PERSONALISATION.model, PERSONALISATION.approval, "submitted", None)
        assert ctx.session.execute(select(PERSONALISATION.model.id).where(nobody)).first() is None
    with without_rules(world):
        world.sql("UPDATE personalisation_request SET submitted_by_person = NULL")
    assert found(world, PERSONALISATION, thing_id, "penyetuju1") == {"penyetuju1": SUBMITTER}


@contextmanager
def without_rules(world: World) -> Iterator[None]:
    """The database refuses nothing meanwhile."""
    engine = make_engine(world.settings.database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            triggers.uninstall(connection)
        yield
        with engine.begin() as connection:
            triggers.install(connection)
    finally:
        engine.dispose()


def forgets_the_submitter(model: Any, approval: Any, waiting: str, person_id: UUID | None) -> ColumnElement[bool]:
    return and_(model.state == waiting, ~four_eyes.approved_by(model, approval, person_id))


def forgets_the_digest(model: Any, approval: Any, waiting: str, person_id: UUID | None) -> ColumnElement[bool]:
    key = getattr(approval, f"{model.__tablename__}_id")
    given = select(approval.id).where(key == model.id, approval.person_id == person_id).exists()
    return and_(model.state == waiting, model.submitted_by_person != person_id, ~given)


def forgets_the_state(model: Any, approval: Any, _waiting: str, person_id: UUID | None) -> ColumnElement[bool]:
    return and_(model.submitted_by_person != person_id, ~four_eyes.approved_by(model, approval, person_id))


def test_a_planted_disagreement_is_seen(world: World) -> None:
    """Each of the three loses a condition in turn, and the answers part."""
    asked = world.submitted()
    thing = UUID(asked["id"])
    assert not ask(world, PERSONALISATION, thing, "magetan.kepala", forgets_the_submitter).agreed
    with without_rules(world):
        assert not ask(world, PERSONALISATION, thing, "magetan.kepala").agreed
    world.approve("personalisation-requests", asked["id"], "penyetuju1")
    done(world.client("operator1").post(f"/personalisation-requests/{thing}/return", {"note": "Catatan kurang."}))
    assert not ask(world, PERSONALISATION, thing, "penyetuju2", forgets_the_state).agreed
    world.sql("UPDATE personalisation_request SET notes = 'lebih lengkap'")
    done(world.client("magetan.kepala").post(f"/personalisation-requests/{thing}/submit"))
    assert not ask(world, PERSONALISATION, thing, "penyetuju1", forgets_the_digest).agreed
    assert ask(world, PERSONALISATION, thing, "penyetuju1").agreed


def ask_second(world: World, proposals: Proposals, proposal_id: UUID, who: str) -> tuple[bool, bool, bool]:
    """Whether service, queue and trigger let this person execute the proposal."""
    account = approver_account(world, who)[1] if proposals is REFERENCE else world.users[who]
    with world.acting(who) as ctx:
        proposal = ctx.session.get_one(proposals.model, proposal_id)
        waits = proposal.state == ProposalState.PROPOSED
        listed = select(proposals.model.id).where(proposals.model.id == proposal_id, proposals.decidable(ctx))
        offered = ctx.session.execute(listed).first() is not None
        return waits and not proposals.is_own(ctx, proposal), offered, executes(ctx, proposals, proposal_id, account)


def executes(ctx: Context, proposals: Proposals, proposal_id: UUID, account: UUID) -> bool:
    """Whether the database takes the execution, as a step the life cycle has; it is taken back at once."""
    table = proposals.model.__table__
    step = {"state": "executed", "revision": table.c.revision + 1, "act_id": uuid7(), "changed_by": account}
    attempt = ctx.session.begin_nested()
    try:
        ctx.session.execute(table.update().where(table.c.id == proposal_id).values(decided_by_person=ctx.actor.person_id, **step))
    except IntegrityError:
        return False
    finally:
        attempt.rollback()
    return True


def revocation(world: World) -> UUID:
    _, answers = world.active()
    done(world.client("operator1").post(f"/manifests/{answers[0]['manifest']['id']}/revoke", {"reason": "mesin dicuri"}), 202)
    return UUID(one_id(world, "SELECT id FROM revocation"))


def user_change(world: World) -> UUID:
    path = f"/central-users/{world.users['operator2']}/changes"
    return UUID(done(world.client("admin1").post(path, {"change": "disable", "reason": "pindah tugas"}), 202)["id"])


def reference_change(world: World) -> UUID:
    return UUID(proposed(world).rsplit("/", 1)[1])


PROPOSED = [
    (REVOCATIONS, revocation, "operator1", "penyetuju1"),
    (USER_CHANGES, user_change, "admin1", "admin2"),
    (REFERENCE, reference_change, "operator1", "penyetuju1"),
]


@pytest.mark.parametrize(("proposals", "propose", "proposer", "second"), PROPOSED, ids=lambda one: getattr(one, "__name__", ""))
def test_service_queue_and_trigger_agree_on_who_executes_a_proposal(
    world: World, proposals: Proposals, propose: Callable[[World], UUID], proposer: str, second: str
) -> None:
    thing = propose(world)
    assert set(ask_second(world, proposals, thing, proposer)) == {False}
    assert set(ask_second(world, proposals, thing, second)) == {True}
    with without_rules(world):
        assert set(ask_second(world, proposals, thing, proposer)) == {False, True}  # the trigger is gone: the disagreement is seen
    with world.acting(second) as ctx:
        proposal = ctx.session.get_one(proposals.model, thing)
        proposals.take(ctx, proposal)
        proposals.decide(ctx, proposal, False, record(ctx, Action.ACCESS_DENIED, proposals.cycle.kind, thing))
    for who in (proposer, second):
        assert set(ask_second(world, proposals, thing, who)) == {False}
