"""Every answer of the API conforms to its OpenAPI document, for generated requests of every role."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sifilma.web.operations import operation
from tests.access.crowd import Crowd
from tests.access.objects import objects_of
from tests.access.routes import STEMS
from tests.support.fuzzing import Fuzz
from tests.support.world import Client, World

PEOPLE = {
    "approver": "penyetuju1",
    "operator": "operator1",
    "auditor": "auditor1",
    "user administrator": "admin1",
    "office": "magetan.kepala",
    "manufacturer": "softorb.kepala",
    "institution": "mandiri.kepala",
}


def fuzz(world: World, examples: int, share: int = 1) -> Fuzz:
    known = {kind: [thing.key for thing in objects_of(world, kind)] for kind in set(STEMS.values())}
    organisation = next(name for name in world.organisations if "Magetan" in name)
    roles: dict[str, Callable[[], Client]] = {name: partial(world.client, username) for name, username in PEOPLE.items()}
    roles |= {"anonymous": world.anonymous, "key": partial(world.machine, organisation)}
    return Fuzz(world, roles, lambda path: known.get(STEMS.get(path.partition("{")[0], ""), []), examples, share)


def test_every_answer_conforms_to_the_document(crowd_sqlite: Crowd, tmp_path: Path, long_form: bool) -> None:
    with crowd_sqlite.world(tmp_path) as world:
        walk = fuzz(world, 12) if long_form else fuzz(world, 5, share=5)
        assert "\n".join(walk.run()) == ""
        assert walk.calls > (1500 if long_form else 1000)


def test_texts_that_no_database_can_store_are_refused_with_a_problem(crowd_postgresql: Crowd, tmp_path: Path, long_form: bool) -> None:
    with crowd_postgresql.world(tmp_path) as world:
        walk = fuzz(world, 8) if long_form else fuzz(world, 4, share=9)
        assert "\n".join(walk.run(poisoned=True)) == ""
        assert walk.calls > 500, walk.calls


def test_an_answer_outside_the_document_and_a_failing_view_are_reported(sqlite_world: World) -> None:
    @operation("reference.read")
    def strange(**_query: Any) -> Any:
        return {"items": [{"id": 7}], "next": None}

    @operation("card.view")
    def failing(**_query: Any) -> Any:
        raise ZeroDivisionError

    @operation("unit.read")
    def teapot(**_query: Any) -> Any:
        return {"short": "stout"}, 418

    views = sqlite_world.app.view_functions
    views["api_reference.models"], views["api_cards.list_cards"], views["api_units.list_units"] = strange, failing, teapot
    walk = fuzz(sqlite_world, 2)
    found = [fault for path in ("/models", "/cards", "/units") for fault in walk.run(only=path)]
    assert any(fault.startswith("GET /api/v1/models: JsonSchemaError 200") for fault in found), found
    assert any(fault.startswith("GET /api/v1/cards: ServerError 500") for fault in found), found
    assert any(fault.startswith("GET /api/v1/units: UndefinedStatusCode 418") for fault in found), found
