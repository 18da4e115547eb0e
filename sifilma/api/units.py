"""The routes of readers and encoders, and of their public keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal
from uuid import UUID

from flask import Response, g
from pydantic import Field, RootModel

from sifilma.api.common import IdPath, LabelsQuery, ListQuery, Page, StateQuery, answer, blueprint, file_of, page_of, tells_all
from sifilma.cards import pcid, proposals, queries, service
from sifilma.cards.label_serializers import unit_labels
from sifilma.cards.schemas import CorrectIn, DigestIn, ReasonIn, SupplyIn, UnitIn, UnitKeyChangeBrief, UnitKeyChangeOut, UnitKeysIn, UnitOut
from sifilma.cards.serializers import change_brief, change_out, units_out
from sifilma.cards.upkeep import proposals as corrections
from sifilma.cards.upkeep import service as upkeep
from sifilma.documents.label_sheets import MOST
from sifilma.identity.permissions import Operation
from sifilma.kernel import paging
from sifilma.kernel.schemas import ApproveIn, NoteIn
from sifilma.resources import resources
from sifilma.sign_in.request_gate import require_grant
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("units")
CHANGES = "/unit-key-changes"


class UnitsIn(RootModel[UnitIn | Annotated[list[UnitIn], Field(min_length=1, max_length=1000)]]):
    """One unit, or up to a thousand."""

    def units(self) -> list[UnitIn]:
        """Return the units as a list."""
        return self.root if isinstance(self.root, list) else [self.root]


class UnitsQuery(ListQuery):
    """A page of units, by hardware number or condition."""

    hardware_number: str | None = Field(None, max_length=40)
    condition: Literal["working", "broken", "retired"] | None = None


@api.post("/units", responses={201: Page[UnitOut]}, summary="Register one unit or a list of them")
@operation("unit.register", lists=True)
@tells_all(UnitIn, lambda known, _: service.unit_faults(context(), known))
def register(body: UnitsIn) -> Response:
    """All or none; the answer to a single unit is that unit.

    Public keys do not count at once: they are one proposal, and `public_key_change` is its id. A person who gives one needs a fresh code.
    """
    ctx = context()
    _require_fresh(unit.public_jwk for unit in body.units())
    made = units_out(ctx, service.register_units(ctx, body.units()))
    return answer(Page[UnitOut](items=made, next=None) if isinstance(body.root, list) else made[0], 201)


@api.get("/units", responses={200: Page[UnitOut]}, summary="Units")
@operation("unit.read")
def list_units(query: UnitsQuery) -> Response:
    """Newest first; by hardware number or condition if one is given."""
    ctx = context()
    select, key = queries.list_units(ctx, queries.UnitFilter(hardware_number=query.hardware_number or "", condition=query.condition or ""))
    return page_of(select, key, query, lambda units: units_out(ctx, units))


class UnitLabelsQuery(LabelsQuery):
    """Which units get a label: those with these ids, else all, or those with a hardware number."""

    id: list[UUID] = Field(default=[], max_length=MOST)
    hardware_number: str | None = Field(None, max_length=40)


@api.get("/unit-labels", responses={200: file_of("application/pdf")}, summary="Labels of units as a PDF")
@operation("unit.read")
def labels(query: UnitLabelsQuery) -> Response:
    """With the hardware number as text and a QR code that leads to the unit's page; at most 500, newest first."""
    ctx, settings = context(), resources().settings
    wanted = queries.UnitFilter(hardware_number=query.hardware_number or "")
    listing = queries.list_chosen_units(ctx, [*map(str, query.id)]) if query.id else queries.list_units(ctx, wanted)
    return query.sheet(settings, unit_labels(ctx, settings, paging.first(ctx.session, listing, paging.NEWEST_FIRST, MOST + 1)))


@api.get("/units/<uuid:id>", responses={200: UnitOut}, summary="A unit")
@operation("unit.read")
def show(path: IdPath) -> Response:
    """With the card in it."""
    ctx = context()
    return answer(units_out(ctx, [queries.get_unit(ctx, path.id)])[0])


@api.post("/units/<uuid:id>/pcid", responses={200: UnitOut}, summary="Supply the PCID a unit lacks")
@operation("unit.supply")
def supply_pcid(path: IdPath, body: SupplyIn) -> Response:
    """Once: by the organisation whose unit it is, or by the maker of its model. What else it lacks may come with it."""
    ctx = context()
    _require_fresh([body.public_jwk])
    return answer(units_out(ctx, [pcid.supply(ctx, path.id, body)])[0])


@api.post("/units/<uuid:id>/correct", responses={200: UnitOut, 202: UnitOut}, summary="Correct a unit")
@operation("unit.correct")
def correct(path: IdPath, body: CorrectIn) -> Response:
    """At once while nothing is bound to it (200). Then its numbers only: a proposal (202), which another person executes (200)."""
    ctx = context()
    unit, status = queries.get_unit(ctx, path.id, Operation.UNIT_CORRECT), 200
    if body.proposal is not None:
        if body.decision != "withdraw":  # whoever proposed may take it back without a fresh code, as on the page
            _require_grant(Operation.UNIT_CORRECT_DECIDE)
        corrections.decide(ctx, path.id, body.proposal, body.decision, body.reason)
    elif upkeep.is_bound(ctx, unit):
        _require_grant(Operation.UNIT_CORRECT_DECIDE)
        corrections.propose(ctx, path.id, body)
        status = 202
    else:
        unit = upkeep.correct(ctx, path.id, body)
    return answer(units_out(ctx, [unit])[0], status)


def _change_condition(path: IdPath, body: ReasonIn, condition: str) -> Response:
    ctx = context()
    return answer(units_out(ctx, [upkeep.change_condition(ctx, path.id, condition, body.reason)])[0])


@api.post("/units/<uuid:id>/break", responses={200: UnitOut}, summary="Say that a unit is broken")
@operation("unit.condition")
def break_unit(path: IdPath, body: ReasonIn) -> Response:
    """No card is activated in it. A card that is in it stays, until a replacement moves it."""
    return _change_condition(path, body, "broken")


@api.post("/units/<uuid:id>/repair", responses={200: UnitOut}, summary="Say that a broken unit works again")
@operation("unit.condition")
def repair(path: IdPath, body: ReasonIn) -> Response:
    """Cards are activated in it again."""
    return _change_condition(path, body, "working")


@api.post("/units/<uuid:id>/retire", responses={200: UnitOut}, summary="Take a unit out of use for good")
@operation("unit.condition")
def retire(path: IdPath, body: ReasonIn) -> Response:
    """Only without a living card in it."""
    return _change_condition(path, body, "retired")


def _require_grant(wanted: Operation) -> None:
    require_grant(g.actor, wanted, resources().settings)


def _require_fresh(keys: Iterable[object]) -> None:
    """Ask for the grant to propose public keys, and a person for a fresh code, if there is any key."""
    if any(keys):
        _require_grant(Operation.UNIT_KEY_PROPOSE)


# --- public keys: one person proposes them, another of the holder executes them ----------------------------------------


@api.post(CHANGES, responses={201: UnitKeyChangeOut}, summary="Propose public keys for units")
@operation("unit.key.propose", lists=True)
def propose_keys(body: UnitKeysIn) -> Response:
    """By the holder, or by the maker of the units. What a program sends is `delivered`: a person takes it up."""
    return answer(change_out(service.propose_keys(context(), body.keys)), 201)


@api.get(CHANGES, responses={200: Page[UnitKeyChangeBrief]}, summary="Proposals of public keys")
@operation("unit.read")
def list_key_changes(query: StateQuery) -> Response:
    """Newest first."""
    select, key = proposals.list_changes(context(), query.state)
    return page_of(select, key, query, lambda rows: map(change_brief, rows))


@api.get(f"{CHANGES}/<uuid:id>", responses={200: UnitKeyChangeOut}, summary="A proposal of public keys")
@operation("unit.read")
def show_key_change(path: IdPath) -> Response:
    """With its digest: what a person sends back."""
    return answer(change_out(proposals.get_change(context(), path.id)))


@api.post(f"{CHANGES}/<uuid:id>/take-up", responses={200: UnitKeyChangeOut}, summary="Propose what a program sent")
@operation("unit.key.decide")
def take_up_keys(path: IdPath, body: DigestIn) -> Response:
    """By a person of the holder, who answers for it; another person executes."""
    return answer(change_out(proposals.take_up(context(), path.id, body.digest)))


@api.post(f"{CHANGES}/<uuid:id>/approve", responses={200: UnitKeyChangeOut}, summary="Register exactly the keys that were seen")
@operation("unit.key.decide")
def approve_keys(path: IdPath, body: ApproveIn) -> Response:
    """By another person of the holder than the proposer; all keys or none."""
    return answer(change_out(proposals.execute(context(), path.id, body.digest, body.note)))


@api.post(f"{CHANGES}/<uuid:id>/reject", responses={200: UnitKeyChangeOut}, summary="Reject, with a note")
@operation("unit.key.decide")
def reject_keys(path: IdPath, body: NoteIn) -> Response:
    """Also what a program sent."""
    return answer(change_out(proposals.reject(context(), path.id, body.note)))


@api.post(f"{CHANGES}/<uuid:id>/withdraw", responses={200: UnitKeyChangeOut}, summary="Take back")
@operation("unit.key.propose")
def withdraw_keys(path: IdPath, body: NoteIn) -> Response:
    """By whoever proposed it."""
    return answer(change_out(proposals.withdraw(context(), path.id, body.note)))
