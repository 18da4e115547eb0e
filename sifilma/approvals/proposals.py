"""Proposals: one person proposes, another executes or rejects. Changes of accounts, lost factors, revocations and reference data use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement

from sifilma.approvals import four_eyes
from sifilma.approvals.models import ProposalState
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Forbidden
from sifilma.kernel.lifecycle import LifeCycle
from sifilma.kernel.text import Text


@dataclass(frozen=True)
class Proposals:
    """One kind of proposal. `model` is a mapped class with Proposed; `refusal` is the message to a proposer who tries to execute it.

    The package of a kind records the acts, since they concern different objects, and carries out what is executed.
    """

    cycle: LifeCycle
    model: Any
    refusal: Text

    def propose(self, ctx: Context, proposal: Any, act: Act, note: str = "") -> None:
        """Store a new proposal of the actor, in its first state."""
        person_id = ctx.actor.person_id
        assert person_id is not None  # noqa: S101  # the request gate lets only people in
        proposal.proposed_by_person, proposal.proposed_at = person_id, ctx.now
        self.cycle.born(proposal, ProposalState.PROPOSED, act, note)
        ctx.session.add(proposal)
        ctx.session.flush()
        self.cycle.announce(ctx.session, proposal, act)

    def take(self, ctx: Context, proposal: Any) -> None:
        """Lock a proposal before a decision on it. Raise Conflict if it was decided already.

        Without the lock, two people who decide at once could both succeed.
        """
        hold(ctx.session, proposal)
        if proposal.state != ProposalState.PROPOSED:
            raise Conflict("This proposal has been decided.")

    def require_second_person(self, ctx: Context, proposal: Any) -> None:
        """Raise Forbidden (`four-eyes`) if the actor is the person who proposed, with whatever account."""
        if self.is_own(ctx, proposal):
            raise Forbidden(self.refusal, type="four-eyes")

    def is_own(self, ctx: Context, proposal: Any) -> bool:
        """Return whether the actor proposed it. True for an actor that is no person (`four_eyes.is_proposer`)."""
        return four_eyes.is_proposer(proposal, ctx.actor.person_id)

    def decide(self, ctx: Context, proposal: Any, execute: bool, act: Act, note: str = "") -> None:
        """Store who decided, and end the proposal. The caller has checked that the actor may."""
        proposal.decided_by_person, proposal.decided_at = ctx.actor.person_id, ctx.now
        self.cycle.move(ctx.session, proposal, ProposalState.EXECUTED if execute else ProposalState.REJECTED, act, note)
        ctx.session.flush()

    def decidable(self, ctx: Context) -> ColumnElement[bool]:
        """Return a condition in SQL: the waiting proposals of which the actor can be the second person."""
        return four_eyes.decidable(self.model, ctx.actor.person_id)

    def own(self, ctx: Context) -> ColumnElement[bool]:
        """Return a condition in SQL: the waiting proposals that the actor made."""
        return four_eyes.proposed_by(self.model, ctx.actor.person_id)
