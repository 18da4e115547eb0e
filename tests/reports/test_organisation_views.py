"""The pages for organisations: everybody finds them, and sees of each what their scope permits."""

from __future__ import annotations

from sifilma.demo import facts
from tests.support.visitor import english
from tests.support.world import World


def test_the_list_is_searched_by_name_and_kind(sqlite_world: World) -> None:
    visitor = english(sqlite_world, "magetan.staf")
    assert facts.BANGLI in visitor.text("/organisasi", nama="bangli")
    assert facts.MANDIRI not in visitor.text("/organisasi", nama="bangli")
    found = visitor.text("/organisasi", jenis="manufacturer")
    assert facts.LEN in found
    assert facts.BANGLI not in found
    assert "Nothing fits these filters." in visitor.text("/organisasi", nama="%")


def test_counts_and_agreements_are_shown_within_the_scope_of_the_reader(world: World) -> None:
    world.received(count=2)
    magetan, mandiri = (f"/organisasi/{world.organisations[name]}" for name in (facts.MAGETAN, facts.MANDIRI))
    for name in ("magetan.staf", "jatim.kepala", "operator1"):
        assert "Cards held 2" in english(world, name).text(magetan)
    for name in ("bangli.kepala", "mandiri.kepala", "kustodian1"):
        assert "Cards held" not in english(world, name).text(magetan)
    for name in ("mandiri.kepala", "operator1", "magetan.kepala"):
        assert "119/PKS-DEMO/1" in english(world, name).text(mandiri)
    for name in ("bpjs.kepala", "len.kepala"):
        assert "PKS" not in english(world, name).text(mandiri)
    world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)
    assert "119/PKS-DEMO/1" in english(world, "softorb.kepala").text(mandiri)  # its buyer
    assert "35.20" in english(world, "operator1").text(magetan)
    assert english(world, "operator1").get(f"/organisasi/{world.users['operator1']}").status_code == 404
