"""Proposals: one person proposes, another executes or rejects. Accounts, second factors, revocations and reference data share this."""

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
    """One kind of proposal. `model` is a mapped class with Proposed; `refusal` is what its proposer is told who would execute it.

    The package records the acts, since they are about different things, and does what an execution brings.
    """

    cycle: LifeCycle
    model: Any
    refusal: Text

    def propose(self, ctx: Context, proposal: Any, act: Act, note: str = "") -> None:
        """Note who proposes, and begin the proposal's life."""
        person_id = ctx.actor.person_id
        assert person_id is not None  # noqa: S101  # the request gate lets only people in
        proposal.proposed_by_person, proposal.proposed_at = person_id, ctx.now
        self.cycle.born(proposal, ProposalState.PROPOSED, act, note)
        ctx.session.add(proposal)
        ctx.session.flush()

    def take(self, ctx: Context, proposal: Any) -> None:
        """Lock a proposal to decide on it: who executes and who rejects at once do not both win. Conflict if it was decided."""
        hold(ctx.session, proposal)
        if proposal.state != ProposalState.PROPOSED:
            raise Conflict("This proposal has been decided.")

    def require_second_person(self, ctx: Context, proposal: Any) -> None:
        """Four eyes, as persons: the proposer does not execute."""
        if self.is_own(ctx, proposal):
            raise Forbidden(self.refusal, type="four-eyes")

    def is_own(self, ctx: Context, proposal: Any) -> bool:
        """Whether the actor proposed it."""
        return four_eyes.is_proposer(proposal, ctx.actor.person_id)

    def decide(self, ctx: Context, proposal: Any, execute: bool, act: Act, note: str = "") -> None:
        """Note who decided, and end the proposal's life. Who may, was asked before."""
        proposal.decided_by_person, proposal.decided_at = ctx.actor.person_id, ctx.now
        self.cycle.move(ctx.session, proposal, ProposalState.EXECUTED if execute else ProposalState.REJECTED, act, note)
        ctx.session.flush()

    def decidable(self, ctx: Context) -> ColumnElement[bool]:
        """In SQL: the proposals that wait for another person than their proposer, and the actor is another."""
        return four_eyes.decidable(self.model, ctx.actor.person_id)

    def own(self, ctx: Context) -> ColumnElement[bool]:
        """In SQL: the actor's proposals that wait."""
        return four_eyes.proposed_by(self.model, ctx.actor.person_id)
