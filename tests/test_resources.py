"""The resources of an application: kept by it, replaced in it, and where its pages are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sifilma.activation.models import ACTIVATION_REQUEST
from sifilma.app import hooks
from sifilma.kernel.clock import ManualClock
from sifilma.resources import attach, resources
from tests.support.world import START, World


def test_each_application_has_its_own(sqlite_world: World) -> None:
    held = resources(sqlite_world.app)
    assert (held.settings, held.clock, held.hsm) == (sqlite_world.settings, sqlite_world.clock, sqlite_world.hsm)
    with sqlite_world.app.app_context():
        assert resources() is held


def test_a_replaced_clock_is_the_one_that_is_asked(sqlite_world: World) -> None:
    later, client = START + timedelta(days=400), sqlite_world.app.test_client()
    assert f"{later:%Y}" not in client.get("/status").get_data(as_text=True)
    attach(sqlite_world.app, replace(resources(sqlite_world.app), clock=ManualClock(later)))
    assert f"{later:%Y}" in client.get("/status").get_data(as_text=True)


def test_a_page_has_an_address_outside_a_request(sqlite_world: World) -> None:
    assert resources(sqlite_world.app).site.page("manifest_pages.index") == f"{sqlite_world.settings.public_url}/manifest"


def test_hooks_that_are_attached_twice_are_called_once(sqlite_world: World) -> None:
    before = list(ACTIVATION_REQUEST._hooks)
    assert before
    hooks.register()
    assert before == ACTIVATION_REQUEST._hooks
