"""Every role may do at every route exactly what docs/domain.md's table says: with its own objects, with others', in every state."""

from __future__ import annotations

import pytest

from tests.access.checker import Walk
from tests.access.figures import figure_faults
from tests.access.lists import list_faults, search_faults
from tests.access.roles import ROLES, Role, visitor
from tests.access.routes import missing_recipes, routes
from tests.support.world import World


def _name(role: Role) -> str:
    return role.name


def test_every_route_about_an_object_has_a_known_kind(crowded: World) -> None:
    assert list(missing_recipes(routes(crowded))) == []


@pytest.mark.parametrize("role", ROLES, ids=_name)
def test_a_role_may_do_what_the_table_says_and_nothing_else(crowded: World, role: Role, long_form: bool) -> None:
    walk = Walk(visitor(crowded, role), short=not long_form)
    assert "\n".join(walk.faults()) == ""
    assert walk.unrecorded() == []


@pytest.mark.parametrize("role", [role for role in ROLES if role.known], ids=_name)
def test_lists_searches_and_exports_show_exactly_what_the_role_may_see(crowded: World, role: Role, long_form: bool) -> None:
    assert "\n".join(Walk(visitor(crowded, role), short=not long_form).list_faults()) == ""


def test_every_list_counts_sorts_and_says_truly_why_it_is_empty(crowded: World) -> None:
    seen: set[str] = set()
    for role in [role for role in ROLES if role.name in ("operator", "auditor", "user administrator")]:
        assert "\n".join(list_faults(Walk(visitor(crowded, role)), seen)) == ""
    assert len(seen) >= 20, seen


@pytest.mark.parametrize("role", [role for role in ROLES if role.username and role.known], ids=_name)
def test_the_search_shows_of_each_kind_what_the_role_finds_in_its_list(crowded: World, role: Role) -> None:
    assert "\n".join(search_faults(visitor(crowded, role))) == ""


@pytest.mark.parametrize("role", [role for role in ROLES if role.username and role.known], ids=_name)
def test_each_figure_is_that_of_its_list_and_of_a_recount(crowded: World, role: Role) -> None:
    assert "\n".join(figure_faults(visitor(crowded, role))) == ""


@pytest.mark.parametrize("name", ["province's head", "institution's key", pytest.param("manufacturer's head", marks=pytest.mark.long)])
def test_a_role_has_the_same_scope_on_postgresql(crowded_postgresql: World, name: str, long_form: bool) -> None:
    role = next(role for role in ROLES if role.name == name)
    walk = Walk(visitor(crowded_postgresql, role), scope_alone=True, short=not long_form)
    assert "\n".join(walk.faults()) == ""
    assert walk.unrecorded() == []
    assert "\n".join(walk.list_faults()) == ""
