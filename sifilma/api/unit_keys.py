"""The routes of public keys of units. One person proposes them; another person of the holder executes them."""

from __future__ import annotations

from flask import Response

from sifilma.api.common import IdPath, Page, StateQuery, answer, blueprint, page_of
from sifilma.cards import key_changes, service
from sifilma.cards.schemas import DigestIn, UnitKeyChangeBrief, UnitKeyChangeOut, UnitKeysIn
from sifilma.cards.serializers import change_brief, change_out
from sifilma.kernel.schemas import ApproveIn, NoteIn
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("unit-keys")
PATH = "/unit-key-changes"


@api.post(PATH, responses={201: UnitKeyChangeOut}, summary="Propose public keys for units")
@operation("unit.key.propose", lists=True)
def propose(body: UnitKeysIn) -> Response:
    """By the holder, or by the maker of the units. What a program sends is `delivered`: a person takes it up."""
    return answer(change_out(service.propose_keys(context(), body.keys)), 201)


@api.get(PATH, responses={200: Page[UnitKeyChangeBrief]}, summary="Proposals of public keys")
@operation("unit.read")
def list_changes(query: StateQuery) -> Response:
    """Newest first."""
    select, key = key_changes.list_changes(context(), query.state)
    return page_of(select, key, query, lambda rows: map(change_brief, rows))


@api.get(f"{PATH}/<uuid:id>", responses={200: UnitKeyChangeOut}, summary="A proposal of public keys")
@operation("unit.read")
def show(path: IdPath) -> Response:
    """With its digest: what a person sends back."""
    return answer(change_out(key_changes.get_change(context(), path.id)))


@api.post(f"{PATH}/<uuid:id>/take-up", responses={200: UnitKeyChangeOut}, summary="Propose what a program sent")
@operation("unit.key.decide")
def take_up(path: IdPath, body: DigestIn) -> Response:
    """By a person of the holder, who answers for it; another person executes."""
    return answer(change_out(key_changes.take_up(context(), path.id, body.digest)))


@api.post(f"{PATH}/<uuid:id>/approve", responses={200: UnitKeyChangeOut}, summary="Register exactly the keys that were seen")
@operation("unit.key.decide")
def approve(path: IdPath, body: ApproveIn) -> Response:
    """By another person of the holder than the proposer; all keys or none."""
    return answer(change_out(key_changes.execute(context(), path.id, body.digest, body.note)))


@api.post(f"{PATH}/<uuid:id>/reject", responses={200: UnitKeyChangeOut}, summary="Reject, with a note")
@operation("unit.key.decide")
def reject(path: IdPath, body: NoteIn) -> Response:
    """Also what a program sent."""
    return answer(change_out(key_changes.reject(context(), path.id, body.note)))


@api.post(f"{PATH}/<uuid:id>/withdraw", responses={200: UnitKeyChangeOut}, summary="Take back")
@operation("unit.key.propose")
def withdraw(path: IdPath, body: NoteIn) -> Response:
    """By whoever proposed it."""
    return answer(change_out(key_changes.withdraw(context(), path.id, body.note)))
