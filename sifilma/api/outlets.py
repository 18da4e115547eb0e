"""The routes of outlets."""

from __future__ import annotations

from typing import Literal

from flask import Response
from pydantic import Field

from sifilma.accounts.serializers import UserOut, user_out
from sifilma.api.common import IdPath, ListQuery, Page, answer, blueprint, page_of
from sifilma.cards.outlets import queries, service
from sifilma.cards.outlets.limits import service as limits
from sifilma.cards.outlets.schemas import LimitIn, MoveIn, OutletIn, OutletOut
from sifilma.cards.outlets.serializers import outlets_out
from sifilma.cards.schemas import ReasonIn, UnitOut
from sifilma.cards.serializers import units_out
from sifilma.regions.sources import place_check
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("outlets")
PATH = "/outlets"


class OutletsQuery(ListQuery):
    """A page of outlets, by a part of name, branch code or address, and by state."""

    q: str | None = Field(None, max_length=100)
    state: Literal["open", "closed"] | None = None


@api.get(PATH, responses={200: Page[OutletOut]}, summary="Outlets")
@operation("outlet.see")
def list_all(query: OutletsQuery) -> Response:
    """Newest first; those whose name, branch code or address has the text `q`, if it is given."""
    ctx = context()
    select, key = queries.list_outlets(ctx, query.q or "", state=query.state or "")
    return page_of(select, key, query, lambda rows: outlets_out(ctx, rows))


@api.post(PATH, responses={201: OutletOut}, summary="Register an outlet")
@operation("outlet.keep")
def register(body: OutletIn) -> Response:
    """Of one's own organisation. Without `region_code` it is in the village nearest to its position."""
    ctx = context()
    return answer(outlets_out(ctx, [service.register(ctx, place_check(resources().settings.home), body)])[0], 201)


@api.get(f"{PATH}/<uuid:id>", responses={200: OutletOut}, summary="An outlet")
@operation("outlet.see")
def show(path: IdPath) -> Response:
    """With the number of units there."""
    ctx = context()
    return answer(outlets_out(ctx, [queries.get_outlet(ctx, path.id)])[0])


@api.put(f"{PATH}/<uuid:id>", responses={200: OutletOut}, summary="Change an outlet")
@operation("outlet.keep")
def change(path: IdPath, body: OutletIn) -> Response:
    """All of it is given. Manifests that were issued there keep their place."""
    ctx = context()
    return answer(outlets_out(ctx, [service.change(ctx, place_check(resources().settings.home), path.id, body)])[0])


@api.post(f"{PATH}/<uuid:id>/close", responses={200: OutletOut}, summary="Close an outlet")
@operation("outlet.keep")
def close(path: IdPath, body: ReasonIn) -> Response:
    """It takes no unit and no activation from now on. Refused (`outlet-in-use`, with the number) while working units stand there."""
    ctx = context()
    return answer(outlets_out(ctx, [service.close(ctx, path.id, body.reason)])[0])


@api.post(f"{PATH}/<uuid:id>/reopen", responses={200: OutletOut}, summary="Open an outlet again")
@operation("outlet.keep")
def reopen(path: IdPath, body: ReasonIn) -> Response:
    """Units may stand there again, and activations begin there."""
    ctx = context()
    return answer(outlets_out(ctx, [service.reopen(ctx, path.id, body.reason)])[0])


@api.post("/units/<uuid:id>/move", responses={200: UnitOut}, summary="Move a unit to another outlet")
@operation("outlet.keep")
def move(path: IdPath, body: MoveIn) -> Response:
    """To an outlet of its organisation, or to none (null). Its card and its manifest stay as they are."""
    ctx = context()
    return answer(units_out(ctx, [service.move(ctx, path.id, body)])[0])


@api.put("/users/<uuid:id>/outlets", responses={200: UserOut}, summary="Limit an account of one's own organisation to outlets")
@operation("users.own", idempotent=False)
def limit(path: IdPath, body: LimitIn) -> Response:
    """It sees and acts on the units and cards there alone. With an empty list it is limited no longer. Its sessions end."""
    ctx = context()
    return answer(user_out(limits.limit(ctx, path.id, body.outlets), ctx.now))
