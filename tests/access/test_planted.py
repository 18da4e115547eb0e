"""The walk over the routes reports faults: each test plants a fault in the application, which the walk must name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select

from sifilma.activation.models import ActivationRequest
from sifilma.api.common import ListQuery, page_of
from sifilma.cards.models import Card
from sifilma.cards.serializers import cards_out
from sifilma.identity.permissions import TABLE, Column, Grant, Operation, Scope
from sifilma.web.operations import operation
from sifilma.web.requests import context
from tests.access.checker import Walk
from tests.access.roles import ROLES, visitor
from tests.access.routes import missing_recipes, routes
from tests.support.world import World


def walk(world: World, name: str) -> Walk:
    return Walk(visitor(world, next(role for role in ROLES if role.name == name)))


@contextmanager
def cell(operation: Operation, column: Column, grant: Grant | None) -> Iterator[None]:
    row = TABLE[operation]
    former = row.pop(column, None)
    row.update({column: grant} if grant else {})
    try:
        yield
    finally:
        row.pop(column, None)
        row.update({column: former} if former else {})


@contextmanager
def view(world: World, endpoint: str, planted: Callable[..., Any]) -> Iterator[None]:
    former = world.app.view_functions[endpoint]
    world.app.view_functions[endpoint] = planted
    try:
        yield
    finally:
        world.app.view_functions[endpoint] = former


CELLS = [
    ("auditor", Operation.PERSONALISE, Column.AUDITOR, Grant(Scope.ALL), "personalise|results: a forbidden operation"),
    ("operator", Operation.TOKEN_REVEAL, Column.OPERATOR, Grant(Scope.ALL), "tokens: a forbidden operation"),
    ("approver", Operation.PERSONALISATION_APPROVE, Column.APPROVER, Grant(Scope.ALL), "approve: an own personalisation_request"),
    ("regency's head", Operation.CARD_VIEW, Column.REGENCY, Grant(Scope.ALL), "another's card"),
    ("regency's staff", Operation.USERS_OWN, Column.REGENCY, Grant(Scope.OWN, fresh=True), "users: a forbidden operation"),
    ("province's head", Operation.HANDOVER_VIEW, Column.PROVINCE, Grant(Scope.OWN), "handovers/<uuid:id>"),
    ("institution's key", Operation.ACTIVATE, Column.KEY, None, "activations: an allowed operation: 403"),
    ("institution's head", Operation.MANIFEST_BODY, Column.INSTITUTION, Grant(Scope.OWN), "the code an hour old"),
]


@pytest.mark.parametrize(("name", "operation", "column", "grant", "words"), CELLS, ids=[f"{c[0]}, {c[1]}" for c in CELLS])
def test_a_changed_cell_is_reported(
    crowded: World, name: str, operation: Operation, column: Column, grant: Grant | None, words: str
) -> None:
    with cell(operation, column, grant):
        found = walk(crowded, name).faults(operation)
    assert any(part in fault for fault in found for part in words.split("|")), found


def test_a_list_and_a_view_without_scope_are_reported(crowded: World) -> None:
    @operation("card.view")
    def everybody() -> Any:
        ctx = context()
        return page_of(select(Card), Card.id, ListQuery(limit=200, cursor=None), lambda rows: cards_out(ctx, rows))

    @operation("activation_request.view")
    def anybodys(**_path: Any) -> Any:
        return {"id": str(context().session.scalars(select(ActivationRequest.id)).first())}

    with view(crowded, "api_cards.list_cards", everybody):
        found = walk(crowded, "regency's head").list_faults()
    assert any("GET /api/v1/cards: shows" in fault and "not its own" in fault for fault in found), found
    assert any("GET /api/v1/cards {}: shows" in fault and "of others" in fault for fault in found), found
    with view(crowded, "api_activation_requests.show", anybodys):
        found = walk(crowded, "institution's staff").faults("activation_request.view")
    assert any("another's activation_request" in fault for fault in found), found


def test_a_refusal_without_a_security_event_is_reported(crowded: World) -> None:
    hooks = crowded.app.after_request_funcs[None]
    kept = [hook for hook in hooks if hook.__name__ != "record_denial"]
    former = list(hooks)
    hooks[:] = kept
    try:
        silent = walk(crowded, "custodian")
        silent.faults("unit.read")
    finally:
        hooks[:] = former
    assert silent.unrecorded()


def test_routes_without_operation_or_known_kind_are_reported(crowded: World) -> None:
    @operation("card.view")
    def unknown(**_path: Any) -> str:
        return ""

    @operation("card.polish")
    def unheard_of() -> str:
        return ""

    def nameless() -> str:
        return ""

    for endpoint, rule, planted in (
        ("nameless", "/planted", nameless),
        ("unheard_of", "/planted/polish", unheard_of),
        ("unknown", "/planted/<uuid:id>", unknown),
    ):
        crowded.app.view_functions[endpoint] = planted
        crowded.app.url_map.add(crowded.app.url_rule_class(rule, endpoint=endpoint, methods=["GET"]))
    found = walk(crowded, "operator").faults(below="/planted")
    assert "GET /planted: names no operation" in found
    assert any("card.polish is not in docs/domain.md's table" in fault for fault in found)
    assert [words for words in missing_recipes(routes(crowded)) if "'/planted/'" in words]
