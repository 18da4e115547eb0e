"""The first steps of an organisation: ticked as they are taken, with the next button, and gone when all are taken."""

from __future__ import annotations

import re

from sifilma.reports.first_steps.pages import steps
from tests.support.visitor import Visitor, english, landed
from tests.support.world import World


def shown(reader: Visitor) -> tuple[list[bool], list[str]]:
    """Return which steps are ticked, and the addresses of the buttons; none when no steps are shown."""
    part = reader.get("/").get_data(as_text=True).partition('<section class="panel first-steps"')[2].partition("</section>")[0]
    return ["Not done yet" not in step for step in part.split("<li")[1:]], re.findall(r'btn-primary" href="([^"]+)"', part)


def test_an_office_is_led_from_its_units_to_its_first_manifest(sqlite_world: World) -> None:
    office = english(sqlite_world, "magetan.kepala")
    assert shown(office) == ([False] * 5, ["/unit/daftar"])
    sqlite_world.units("magetan.kepala", 1)
    assert shown(office) == ([True, False, False, False, False], ["/personalisasi/baru"])
    sqlite_world.submitted()
    assert shown(office) == ([True, True, False, False, False], ["/bast"])
    uids = sqlite_world.received()
    assert shown(office) == ([True, True, True, False, False], ["/aktivasi/baru"])
    assert shown(english(sqlite_world, "bangli.kepala")) == ([False] * 5, ["/unit/daftar"])  # of each organisation by itself
    sqlite_world.requested("magetan.kepala", uids)
    assert shown(office) == ([True] * 4 + [False], ["/aktivasi"])
    sqlite_world.active()
    assert shown(office) == ([], [])


def test_each_kind_of_organisation_has_its_steps_and_can_hide_them(sqlite_world: World) -> None:
    assert shown(english(sqlite_world, "mandiri.kepala")) == ([True] + [False] * 5, ["/unit/daftar"])  # it has its PKS
    assert shown(english(sqlite_world, "len.kepala")) == ([True] + [False] * 4, ["/unit"])  # it has models
    for who in ("operator1", "admin1", "auditor1"):
        assert shown(english(sqlite_world, who)) == ([], [])
    office = english(sqlite_world, "magetan.kepala")
    assert landed(office.send("/langkah-awal")) == "/"
    assert shown(office) == ([], [])
    assert shown(english(sqlite_world, "magetan.kepala"))[1] == ["/unit/daftar"]  # in another browser they stand
    with sqlite_world.acting("magetan.kepala") as ctx:
        assert len(steps(ctx)) == 5
