"""What waits on the way of a card: each kind of task is one select, and all have the same columns, for UNION ALL.

The home page lists them; a page asks for those about its object (`mine`), so that a next button and the task on the home are one thing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import aliased

from sifilma.activation import queries as activation
from sifilma.activation.manifests.revocation import PROPOSALS as REVOCATIONS
from sifilma.activation.models import (
    READY,
    Activation,
    ActivationRequest,
    Manifest,
    RequestKind,
    RequestState,
    Token,
    TokenState,
)
from sifilma.activation.requests.form_choices import ends_soon
from sifilma.activation.requests.service import WAY as ACTIVATION
from sifilma.activation.requests.service import is_busy
from sifilma.activation.suspensions.models import OPEN as OPEN_PLACES
from sifilma.activation.suspensions.models import PlaceSuspension, SuspensionState
from sifilma.activation.suspensions.queries import is_ready, suspensions_query, unreviewed
from sifilma.cards import program_reports, proposals
from sifilma.cards.models import Card, CardReport, CardState, ReportState, Unit, UnitCondition, UnitKeyChange
from sifilma.cards.queries import units_query
from sifilma.cards.upkeep.models import UnitCorrection
from sifilma.cards.upkeep.proposals import PROPOSALS as CORRECTIONS
from sifilma.cards.upkeep.proposals import corrections_query
from sifilma.destruction.form_choices import CAUSES, free_cards_query
from sifilma.destruction.models import Destruction, DestructionState
from sifilma.destruction.service import WAY as DESTRUCTION
from sifilma.destruction.service import destructions_query
from sifilma.handover.discrepancies.queries import missing_query
from sifilma.handover.models import RECEIPTS, Handover, HandoverCard
from sifilma.handover.queries import is_newest_receipt
from sifilma.handover.returns import ISSUERS
from sifilma.handover.service import handovers_query
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation, grants
from sifilma.identity.scope import within_limit
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.personalisation import service as personalisation
from sifilma.personalisation.models import PersonalisationRequest, PersonalisationState
from sifilma.personalisation.proposals import CLOSINGS
from sifilma.personalisation.queries import MAKING, approved_at
from sifilma.personalisation.service import WAY as PERSONALISATION
from sifilma.reports.way.line_queries import (
    activation_lines_query,
    closing_lines_query,
    destruction_lines_query,
    handover_lines_query,
    line_query,
    personalisation_lines_query,
    revocation_lines_query,
)

Lines = Iterator[Select[Any]]
MOST_UNASKED, MOST_ENDING, MOST_BROKEN, MOST_LOOKED_AT = 100, 1_000, 100, 1_000
"""Cards that are counted: nobody asked for their activation, their manifest ends soon, they are broken; broken ones that are looked at."""
MOST_MADE = 100
"""Requests whose cards wait to be handed over, of those that a list of tasks shows."""
_newer = aliased(Token)  # made once: to make an alias takes longer than the rest of its condition


def waiting(ctx: Context) -> Lines:
    """Yield what the actor has to do next on the way of a card."""
    yield from approvals(ctx)
    yield from looks(ctx)
    yield from own_papers(ctx)
    yield from cards(ctx)
    yield from destructions(ctx)
    yield from programs(ctx)
    yield from units(ctx)
    yield from places(ctx)


def of_tasks(selects: Lines, names: Collection[str]) -> list[Select[Any]]:
    """Return the selects of tasks of these names."""
    return [query for query in selects if query.selected_columns["task"].element.value in names]


def approvals(ctx: Context) -> Lines:
    """Yield what approvers decide."""
    if grants(ctx.actor, Operation.PERSONALISATION_APPROVE):
        yield personalisation_lines_query(
            personalisation_approvals_query(ctx, PERSONALISATION.approvable(ctx)),
            "approve_personalisation",
            PersonalisationRequest.submitted_at,
        )
    if grants(ctx.actor, Operation.ACTIVATION_APPROVE):
        yield activation_lines_query(
            activation_approvals_query(ctx, ACTIVATION.approvable(ctx)), "approve_activation", ActivationRequest.submitted_at
        )
    if grants(ctx.actor, Operation.DESTRUCTION_APPROVE):
        proposed = destructions_query(ctx, Operation.DESTRUCTION_APPROVE).where(DESTRUCTION.approvable(ctx))
        yield destruction_lines_query(proposed, "approve_destruction")
    if Role.APPROVER in ctx.actor.roles:
        yield closing_lines_query(ctx, "decide_closing", CLOSINGS.decidable(ctx))
        yield revocation_lines_query(ctx, "decide_revocation", REVOCATIONS.decidable(ctx))


def personalisation_approvals_query(ctx: Context, which: ColumnElement[bool]) -> Select[Any]:
    """Return the personalisation requests within an approver's scope that meet a condition."""
    return personalisation.requests_query(ctx, Operation.PERSONALISATION_APPROVE).where(which)


def activation_approvals_query(ctx: Context, which: ColumnElement[bool]) -> Select[Any]:
    """Return the activation requests within an approver's scope that meet a condition."""
    return activation.requests_query(ctx, Operation.ACTIVATION_APPROVE).where(which)


def looks(ctx: Context) -> Lines:
    """Yield what an operator checks or records."""
    if grants(ctx.actor, Operation.PERSONALISATION_VERIFY):
        query = personalisation.requests_query(ctx, Operation.PERSONALISATION_VERIFY)
        yield personalisation_lines_query(
            query.where(PERSONALISATION.verifiable()), "verify_personalisation", PersonalisationRequest.submitted_at
        )
    if grants(ctx.actor, Operation.ACTIVATION_VERIFY):
        asked = activation.requests_query(ctx, Operation.ACTIVATION_VERIFY)
        yield activation_lines_query(asked.where(ACTIVATION.verifiable()), "verify_activation", ActivationRequest.submitted_at)
    if grants(ctx.actor, Operation.PERSONALISE):
        made = personalisation.requests_query(ctx, Operation.PERSONALISE).where(PersonalisationRequest.state.in_(MAKING))
        yield personalisation_lines_query(made, "record_results", approved_at())
    if grants(ctx.actor, Operation.PLACE_REVIEW):
        doubted = activation.activations_query(ctx, Operation.PLACE_REVIEW).where(Activation.review_state == "waiting")
        doubted = doubted.where(Card.id == Activation.card_id)
        yield line_query(doubted, "review_place", Activation.id, Card.uid, Activation.organisation_id, Activation.at)


def own_papers(ctx: Context) -> Lines:
    """Yield drafts and returned requests of the actor's organisation."""
    if grants(ctx.actor, Operation.PERSONALISATION_SUBMIT):
        mine = personalisation.requests_query(ctx, Operation.PERSONALISATION_SUBMIT).where(
            PersonalisationRequest.requester_id == ctx.actor.organisation_id
        )
        yield personalisation_lines_query(
            mine.where(PersonalisationRequest.state == PersonalisationState.RETURNED),
            "mend_personalisation",
            PersonalisationRequest.changed_at,
        )
        yield personalisation_lines_query(
            mine.where(PersonalisationRequest.state == PersonalisationState.DRAFT),
            "submit_personalisation",
            PersonalisationRequest.changed_at,
        )
    if grants(ctx.actor, Operation.ACTIVATION_SUBMIT):
        yield activation_lines_query(own_activation_query(ctx, RequestState.RETURNED), "mend_activation", ActivationRequest.changed_at)
        yield activation_lines_query(own_activation_query(ctx, RequestState.DRAFT), "submit_activation", ActivationRequest.changed_at)


def own_activation_query(ctx: Context, state: RequestState) -> Select[Any]:
    """Return the activation requests of the actor's organisation in a state."""
    return activation.requests_query(ctx).where(
        ActivationRequest.organisation_id == ctx.actor.organisation_id, ActivationRequest.state == state
    )


def cards(ctx: Context) -> Lines:
    """Yield what becomes of the cards of the actor's organisation: received, handed on, asked for, activated, destroyed."""
    own = ctx.actor.organisation_id
    if grants(ctx.actor, Operation.HANDOVER_RECEIVE):
        yield handover_lines_query(ctx, "receive_handover", Handover.receiver_id == own, Handover.issuer_id)
    if grants(ctx.actor, Operation.HANDOVER_ISSUE):
        if ctx.actor.organisation_kind in ISSUERS:  # the others only give back
            ready = CardState.PERSONALISED if ctx.actor.is_central else CardState.RECEIVED
            yield made_lines_query(ctx, "issue_handover", Card.holder_id == own, Card.holder_id != Card.buyer_id, Card.state == ready)
        short = handovers_query(ctx).where(Handover.issuer_id == own, Handover.id.in_(missing_query()))
        yield line_query(short, "settle_missing", Handover.id, Handover.number, Handover.receiver_id, Handover.changed_at)
    if grants(ctx.actor, Operation.ACTIVATION_SUBMIT):
        yield _unasked_query(ctx)
        yield _ending_query(ctx)
    if grants(ctx.actor, Operation.ACTIVATE):
        issued = activation.tokens_query(ctx, Operation.ACTIVATE).where(activation.IS_OPEN, Token.expires_at > ctx.now)
        yield tokens_query(issued, "activate", None, func.min(Token.expires_at))
    if grants(ctx.actor, Operation.TOKEN_REVEAL):
        yield tokens_query(_without_token_query(ctx), "reissue_token", func.min(Token.changed_at))
    if grants(ctx.actor, Operation.DESTRUCTION_PROPOSE):
        yield _broken_query(ctx)


def _unasked_query(ctx: Context) -> Select[Any]:
    """Return received cards for whose activation nobody has asked, by the BAST that brought them to their holder.

    MOST_UNASKED of the oldest are counted: when they are asked for, the next ones come.
    """
    own = ctx.actor.organisation_id
    # An index answers in the order of age, however many were activated before: it is walked past those that are asked for.
    is_holders = Card.buyer_id.is_not_distinct_from(Card.holder_id)  # not "= own": PostgreSQL would look for all that were bought
    held = select(Card.id).where(Card.holder_id == own, is_holders, within_limit(ctx.actor, Card.unit_id))
    waiting = held.where(Card.state.in_(READY[RequestKind.NEW]), ~is_busy())
    oldest = waiting.order_by(Card.id).limit(MOST_UNASKED).subquery("oldest")
    here = select(Handover).where(
        Handover.receiver_id == own,
        Handover.state.in_(RECEIPTS),
        HandoverCard.handover_id == Handover.id,
        is_newest_receipt(),
        HandoverCard.card_id.in_(select(oldest.c.id)),
        Card.id == HandoverCard.card_id,
    )
    grouped = here.group_by(Handover.id, Handover.number, Organisation.name)
    return line_query(
        grouped, "request_activation", Handover.id, Handover.number, Handover.receiver_id, func.min(Card.changed_at), func.count(Card.id)
    )


def _ending_query(ctx: Context) -> Select[Any]:
    """Return the active cards of the actor's organisation whose manifest ends soon and for which nobody has asked, as one line.

    The first MOST_ENDING to end are looked at.
    """
    # An index alone answers: of whom all manifests end soon, it gives the first without reading the others.
    ends = select(Manifest.organisation_id, Manifest.card_id, Manifest.expires_at).where(
        Manifest.organisation_id == ctx.actor.organisation_id, ends_soon(ctx)
    )
    soon = ends.order_by(Manifest.expires_at, Manifest.id).limit(MOST_ENDING).subquery("soon").c
    ending = select(soon.organisation_id).where(~is_busy(card=soon.card_id))
    if ctx.actor.outlets is not None:
        ending = ending.where(soon.card_id.in_(select(Card.id).where(within_limit(ctx.actor, Card.unit_id))))
    first, whose = func.min(soon.expires_at), soon.organisation_id
    grouped = ending.group_by(whose, Organisation.name)
    return line_query(grouped, "renew_manifests", whose, literal("", String), whose, first, func.count(soon.card_id), first)


def _without_token_query(ctx: Context) -> Select[Any]:
    """Return the newest tokens of approved requests that open nothing any more, though their cards can still be activated."""
    later = exists().where(
        _newer.activation_request_id == Token.activation_request_id, _newer.card_id == Token.card_id, _newer.id > Token.id
    )
    dead = or_(
        Token.state.in_((TokenState.CANCELLED, TokenState.EXPIRED)), and_(Token.state == TokenState.ISSUED, Token.expires_at <= ctx.now)
    )
    held = Card.holder_id == Token.organisation_id
    ready = or_(*(and_(ActivationRequest.kind == kind, is_ready(kind)) for kind in RequestKind))
    return activation.tokens_query(ctx, Operation.TOKEN_REVEAL).where(
        ActivationRequest.id == Token.activation_request_id,
        ActivationRequest.state == RequestState.APPROVED,
        dead,
        ~later,
        Card.id == Token.card_id,
        held,
        ready,
    )


def _broken_query(ctx: Context) -> Select[Any]:
    """Return cards that wait for somebody to propose their destruction, by their state, which is the line's title.

    Of each state MOST_BROKEN are counted, of the MOST_LOOKED_AT that have waited longest.
    """
    own = ctx.actor.organisation_id
    arms = []
    for cause in CAUSES:
        waits = select(Card.id).where(Card.holder_id == own, Card.state == literal_column(f"'{cause.value}'"))
        first_ones = waits.order_by(Card.changed_at, Card.id).limit(MOST_LOOKED_AT).subquery()
        free = free_cards_query(ctx, of=own, each=True).where(Card.id.in_(select(first_ones.c.id)))
        arms.append(select(free.with_only_columns(Card.holder_id, Card.state, Card.changed_at).limit(MOST_BROKEN).subquery()))
    c = union_all(*arms).subquery("broken").c
    query: Select[Any] = select(c.state).group_by(c.holder_id, c.state, Organisation.name)
    return line_query(query, "propose_destruction", c.holder_id, c.state, c.holder_id, func.min(c.changed_at), func.count())


def tokens_query(query: Select[Any], task: str, at: Any, until: Any = None) -> Select[Any]:
    """Return tokens, grouped by their requests. `at` and `until` are aggregates of tokens; without `at` it is when the request changed."""
    # Tokens are counted before their requests are looked up: thousands are open, of some requests.
    named = [(one, name) for one, name in ((at, "since"), (until, "until")) if one is not None]
    columns = (
        Token.activation_request_id.label("request"),
        func.count().label("tokens"),
        *(one.label(name) for one, name in named),
    )
    made = query.with_only_columns(*columns).group_by(Token.activation_request_id).subquery(f"tokens_{task}")
    asked = ActivationRequest
    lines: Select[Any] = select(asked).join(made, made.c.request == asked.id)
    since, end = asked.changed_at if at is None else made.c.since, None if until is None else made.c.until
    return line_query(lines, task, asked.id, asked.letter_number, asked.organisation_id, since, made.c.tokens, end)


def programs(ctx: Context) -> Lines:
    """Yield what programs reported or sent, and public keys that another person proposed."""
    if grants(ctx.actor, Operation.CARD_REPORT_DECIDE):
        reported = program_reports.reports_query(ctx, Operation.CARD_REPORT_DECIDE).where(CardReport.state == ReportState.PENDING)
        reported = reported.where(Card.id == CardReport.card_id)
        yield line_query(reported, "decide_report", CardReport.id, Card.uid, CardReport.organisation_id, CardReport.reported_at)
    if grants(ctx.actor, Operation.UNIT_KEY_DECIDE):
        yield unit_key_lines_query(ctx, "decide_unit_keys", proposals.decidable(ctx))


def places(ctx: Context) -> Lines:
    """Yield what follows from rejected places: a second person decides, and the holder relocates the card."""
    if grants(ctx.actor, Operation.PLACE_SUSPENSION_DECIDE):
        waits = PlaceSuspension.state == SuspensionState.PROPOSED
        yield place_lines_query(ctx, "decide_place_suspension", waits, PlaceSuspension.proposed_by_person != ctx.actor.person_id)
    if grants(ctx.actor, Operation.ACTIVATION_SUBMIT):
        mine = PlaceSuspension.organisation_id == ctx.actor.organisation_id
        idle = ~is_busy() & ~unreviewed()
        yield place_lines_query(ctx, "answer_place", PlaceSuspension.state.in_(OPEN_PLACES), mine, idle)


def place_lines_query(ctx: Context, task: str, *which: ColumnElement[bool]) -> Select[Any]:
    """Return a select of suspensions for a rejected place, with the deadline."""
    query = suspensions_query(ctx).where(*which, Card.id == PlaceSuspension.card_id)
    one = PlaceSuspension
    return line_query(query, task, one.id, Card.uid, one.organisation_id, one.changed_at, until=one.due_at)


def units(ctx: Context) -> Lines:
    """Yield units whose PCID their maker has to supply, broken units, and corrections that another person proposed."""
    own = ctx.actor.organisation_id
    if ctx.actor.organisation_kind is OrganisationKind.MANUFACTURER and grants(ctx.actor, Operation.UNIT_SUPPLY):
        yield _without_pcid_query(ctx, "supply_pcid")
    if grants(ctx.actor, Operation.UNIT_CONDITION):
        broken = units_query(ctx, Operation.UNIT_CONDITION).where(Unit.organisation_id == own, Unit.condition == UnitCondition.BROKEN)
        yield line_query(broken, "mend_unit", Unit.id, Unit.hardware_number, Unit.organisation_id, Unit.changed_at)
    if grants(ctx.actor, Operation.UNIT_CORRECT_DECIDE):
        yield correction_lines_query(ctx, "decide_correction", CORRECTIONS.decidable(ctx))


def awaited_pcids_query(ctx: Context) -> Select[Any]:
    """Return the units of the actor's organisation whose PCID their maker has not supplied, as one line."""
    return _without_pcid_query(ctx, "pcid_awaited", Unit.organisation_id == ctx.actor.organisation_id)


def _without_pcid_query(ctx: Context, task: str, *which: ColumnElement[bool]) -> Select[Any]:
    lacking = units_query(ctx, Operation.UNIT_SUPPLY).where(Unit.pcid.is_(None), Unit.condition != UnitCondition.RETIRED, *which)
    grouped = lacking.group_by(Unit.organisation_id, Organisation.name)
    whose, first = Unit.organisation_id, func.min(Unit.created_at)
    return line_query(grouped, task, whose, literal("", String), whose, first)


def correction_lines_query(ctx: Context, task: str, which: ColumnElement[bool]) -> Select[Any]:
    """Return a select of corrections of units of the actor's organisation."""
    one = UnitCorrection
    query = corrections_query(ctx, Operation.UNIT_CORRECT).where(one.organisation_id == ctx.actor.organisation_id, which)
    return line_query(query, task, one.id, one.former_hardware_number, one.organisation_id, one.proposed_at)


def unit_key_lines_query(ctx: Context, task: str, which: ColumnElement[bool]) -> Select[Any]:
    """Return a select of proposals of public keys, with the organisation that proposed."""
    query = proposals.changes_query(ctx).where(which)
    change = UnitKeyChange
    return line_query(query, task, change.id, literal("", String), change.by_organisation_id, change.changed_at)


def made_lines_query(ctx: Context, task: str, *conditions: ColumnElement[bool], of: ColumnElement[bool] | None = None) -> Select[Any]:
    """Return cards, grouped by the request they were made for, with the organisation they go to. `of` is a condition of the request."""
    to = (
        PersonalisationRequest.requester_id
        if ctx.actor.organisation_kind is OrganisationKind.DIRECTORATE
        else PersonalisationRequest.buyer_id
    )
    request, since = Card.personalisation_request_id.label("request"), func.min(Card.changed_at).label("since")
    counted = select(request, since, func.count(Card.id).label("cards")).where(*conditions).group_by(Card.personalisation_request_id)
    # Cards are counted before their requests are looked up: thousands of cards wait, of some hundred requests.
    if of is not None and ctx.actor.organisation_kind is OrganisationKind.MANUFACTURER:  # of a thousand requests, nearly all done long ago
        every = counted.subquery(f"every_{task}")
        counted = select(every).where(every.c.request.in_(select(PersonalisationRequest.id).where(of)))
    elif of is not None:
        counted = counted.where(Card.personalisation_request_id.in_(select(PersonalisationRequest.id).where(of)))
    # The oldest MOST_MADE: with so few the requests are looked up one by one, and not all of them read.
    made, asked = counted.order_by("since").limit(MOST_MADE).subquery(f"made_{task}"), PersonalisationRequest
    query: Select[Any] = select(asked).join(made, made.c.request == asked.id)
    return line_query(query, task, asked.id, asked.letter_number, to, made.c.since, made.c.cards)


def destructions(ctx: Context) -> Lines:
    """Yield destructions that their holder carries out, or an operator verifies."""
    me = ctx.actor.person_id
    if grants(ctx.actor, Operation.DESTRUCTION_RECORD):
        yield destruction_lines_query(own_destruction_query(ctx, DestructionState.APPROVED), "record_destruction")
    if grants(ctx.actor, Operation.DESTRUCTION_VERIFY):
        done = destructions_query(ctx, Operation.DESTRUCTION_VERIFY).where(Destruction.state == DestructionState.EXECUTED)
        others = done.where(
            Destruction.submitted_by_person != me, or_(Destruction.recorded_by_person.is_(None), Destruction.recorded_by_person != me)
        )
        yield destruction_lines_query(others, "verify_destruction")


def own_destruction_query(ctx: Context, state: DestructionState) -> Select[Any]:
    """Return the destructions of the actor's organisation in a state."""
    return destructions_query(ctx).where(Destruction.organisation_id == ctx.actor.organisation_id, Destruction.state == state)
