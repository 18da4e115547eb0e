"""The map of active units: counts by region, clusters on a grid, list and export, each within the scope of the reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sifilma.activation.derived.tasks import add_up
from sifilma.documents.indonesian import uid_pairs
from sifilma.kernel.db import db
from sifilma.kernel.statements import built_once
from sifilma.kernel.timekeeping.working_days import Calendar
from sifilma.reports import reader_locations
from sifilma.reports.reader_locations import in_common
from tests.support.counting import counted
from tests.support.visitor import Visitor
from tests.support.world import World, done

INDONESIA = {"zoom": "5", "south": "-12", "west": "94", "north": "7", "east": "142"}


def drawn(world: World, who: str, **query: Any) -> list[Any]:
    response = Visitor(world, who).get("/peta/titik.json", **INDONESIA | query)
    assert response.status_code == 200
    found: list[Any] = json.loads(response.get_data())
    return found


def table(world: World, who: str, **query: str) -> list[list[str]]:
    response = Visitor(world, who).get("/peta", **query, unduh="csv")
    assert response.status_code == 200
    return [line.split(",") for line in response.get_data(as_text=True).lstrip("\ufeff").splitlines()[1:]]


def test_units_are_counted_by_province_then_by_regency_then_listed(world: World) -> None:
    ready, _ = world.active(count=2)
    there = world.active("bangli.kepala", "R")[0].uids[0]
    assert table(world, "operator1") == [["35", "Jawa Timur", "0", "2", "2"], ["51", "Bali", "1", "0", "1"]]
    assert table(world, "operator1", wilayah="35") == [["35.20", "Kabupaten Magetan", "0", "2", "2"]]
    assert table(world, "auditor1", function="R") == [["51", "Bali", "1", "0", "1"]]
    visitor = Visitor(world, "operator1")
    visitor.get("/peta")
    assert "3 unit" in visitor.seen
    visitor.get("/peta", wilayah="35.20")
    assert all(uid_pairs(uid) in visitor.seen for uid in ready.uids)
    assert ready.hardware[ready.uids[0]] in visitor.seen
    assert uid_pairs(there) not in visitor.seen
    listed = visitor.get("/peta", wilayah="3520", unduh="csv").get_data(as_text=True)
    assert all(uid in listed for uid in ready.uids)
    assert visitor.get("/peta", wilayah="35.20", unduh="xlsx").get_data().startswith(b"PK")


def counted_up(world: World) -> None:
    """Let the worker count what changed. The map is the same before."""
    with world.context() as ctx:
        assert add_up(ctx, Calendar())


@pytest.mark.parametrize("is_counted", [False, True])
def test_everybody_sees_the_units_of_their_scope(world: World, is_counted: bool) -> None:
    world.active()
    if is_counted:
        counted_up(world)
    world.active("bangli.kepala", "R")
    if is_counted:
        counted_up(world)
    seen = {
        who: [row[0] for row in table(world, who)] for who in ("penyetuju1", "magetan.staf", "jatim.kepala", "bangli.kepala", "len.kepala")
    }
    assert seen == {
        "penyetuju1": ["51", "35"],
        "magetan.staf": ["35"],
        "jatim.kepala": ["35"],
        "bangli.kepala": ["51"],
        "len.kepala": ["51", "35"],
    }
    assert table(world, "softorb.kepala") == []  # the units have models of the other manufacturer
    assert {cluster["region"][:2] for cluster in drawn(world, "magetan.staf")} == {"35"}
    assert drawn(world, "mandiri.kepala") == []
    assert Visitor(world, "admin1").get("/peta").status_code == 403


def test_the_map_shows_only_active_units_at_their_present_place(world: World) -> None:
    ready, _ = world.active(count=2)
    broken, moved = ready.uids
    counted_up(world)
    done(world.client("magetan.kepala").post(f"/cards/{broken}/reports", {"condition": "damaged", "note": "patah"}))
    _, tokens = world.tokens("magetan.kepala", [moved], "relocation")
    body = world.activation(ready, moved, token=tokens[moved], latitude=-7.66, longitude=111.34)
    done(world.client("magetan.kepala").post("/activations", body), 201)
    seen = [drawn(world, "operator1", zoom=zoom) for zoom in (5, 12, 16)]
    for (only,) in seen:
        assert (only["count"], only["uid"], only["page"]) == (1, moved, f"/kartu/{moved}")
        assert (round(only["latitude"], 3), round(only["longitude"], 3)) == (-7.66, 111.34)
    counted_up(world)
    assert drawn(world, "operator1", zoom=16) == seen[-1]
    (counted_only,) = drawn(world, "operator1")
    assert {**counted_only, "box": seen[0][0]["box"]} == seen[0][0]  # who went does not narrow the box
    assert table(world, "operator1", state="suspended") == []
    assert table(world, "operator1", state="all", kind="regency_office") == [["35", "Jawa Timur", "0", "1", "1"]]
    assert table(world, "operator1", kind="institution") == []


def test_circles_are_split_when_one_zooms_in(sqlite_world: World) -> None:
    ready = sqlite_world.ready(count=3)
    for uid, east in zip(ready.uids, (111.32, 111.321, 111.36), strict=True):
        body = sqlite_world.activation(ready, uid, longitude=east)
        done(sqlite_world.client("magetan.kepala").post("/activations", body), 201)
    assert [cluster["count"] for cluster in drawn(sqlite_world, "operator1")] == [3]
    assert sorted(cluster["count"] for cluster in drawn(sqlite_world, "operator1", zoom=12)) == [1, 2]
    assert [cluster["count"] for cluster in drawn(sqlite_world, "operator1", zoom=17)] == [1, 1, 1]
    assert [cluster["count"] for cluster in drawn(sqlite_world, "operator1", zoom=12, west=111.35)] == [1]
    assert Visitor(sqlite_world, "operator1").get("/peta/titik.json", **INDONESIA | {"zoom": "40"}).status_code == 422


def test_where_many_stand_the_nearest_zooms_show_the_circles_of_the_finest_grid_that_is_tallied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = world.ready(count=3)
    for uid, east in zip(ready.uids, (111.3214, 111.3236, 111.36), strict=True):
        done(world.client("magetan.kepala").post("/activations", world.activation(ready, uid, longitude=east)), 201)
    one_by_one = [[cluster["uid"] for cluster in drawn(world, "operator1", zoom=zoom, west=111.3)] for zoom in (16, 17)]
    assert all(sorted(found) == sorted(ready.uids) for found in one_by_one)
    monkeypatch.setattr(reader_locations, "FEW", 2)
    for zoom in (16, 17):
        assert sorted(cluster["count"] for cluster in drawn(world, "operator1", zoom=zoom, west=111.3)) == [1, 2]
        assert sorted(cluster["count"] for cluster in drawn(world, "operator1", zoom=zoom, west=111.3, east=111.33)) == [1, 1]


@pytest.fixture
def one_added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One change is added on reading, and no more: the number stands in statements that are kept."""
    with monkeypatch.context() as patch:
        patch.setattr("sifilma.cards.derived.queries.MOST_ADDED", 1)
        patch.setattr("sifilma.activation.derived.queries.MOST_ADDED", 1)
        built_once.forget()
        yield
    built_once.forget()


@pytest.mark.usefixtures("one_added")
def test_more_changes_than_are_added_on_reading_are_told_and_come_with_the_count(world: World) -> None:
    world.active()
    counted_up(world)
    world.active("bangli.kepala", "R", count=2)
    visitor = Visitor(world, "operator1")
    for path in ("/", "/peta", "/peta?wilayah=35.20", "/statistik"):
        visitor.get(path)
        assert "Lebih dari 1 perubahan masih dihitung: angka per " in visitor.seen, path
    assert [row[0] for row in table(world, "operator1")] == ["35"]
    counted_up(world)
    for path in ("/", "/peta", "/statistik"):
        visitor.get(path)
        assert "masih dihitung" not in visitor.seen, path
    assert [row[0] for row in table(world, "operator1")] == ["51", "35"]


def test_the_statements_of_the_map_do_not_grow_with_the_units(sqlite_world: World) -> None:
    sqlite_world.active(count=3)
    visitor = Visitor(sqlite_world, "operator1")
    with sqlite_world.app.app_context():
        engine = db.engine
    for path, most in (("/peta", 6), ("/peta?wilayah=35", 7), ("/peta?wilayah=35.20", 11)):
        with counted(engine) as found:
            assert visitor.get(path).status_code == 200
        assert len(found.statements) <= most, (path, found.statements)
    with counted(engine) as found:
        drawn(sqlite_world, "operator1")
    assert len([one for one in found.statements if "reader_tally" in one]) == 1
    assert not [one for one in found.statements if "manifest" in one]


def test_an_unknown_region_is_not_found_and_an_empty_one_gives_advice(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world, "operator1")
    assert visitor.get("/peta", wilayah="x").status_code == 404
    visitor.get("/peta")
    assert "Belum ada unit yang bekerja" in visitor.seen
    visitor.get("/peta", wilayah="51.06")
    assert "Lihat wilayah yang lebih luas" in visitor.seen


def test_unknown_values_of_a_filter_find_nothing_and_keep_no_statement_each(sqlite_world: World) -> None:
    sqlite_world.active("magetan.kepala", "R")
    kept = set[int]()
    for value in ("x", "y", "active'"):
        for name in ("state", "function", "kind"):
            assert table(sqlite_world, "operator1", **{name: value}) == []
            assert table(sqlite_world, "operator1", wilayah="35", **{name: value}) == []
            assert "0 unit" in Visitor(sqlite_world, "operator1").text(f"/peta?wilayah=35.20&{name}={value}")
            assert drawn(sqlite_world, "operator1", **{name: value}) == drawn(sqlite_world, "operator1", zoom=16, **{name: value}) == []
        kept.add(built_once.built())
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [("35.20.01.2001", "35.20.01.2001", "35.20.01.2001"), ("35.20.01.2001", "35.20.02.2001", "35.20"), ("35.20", "36.01", "")],
)
def test_a_circle_names_the_common_region_of_its_units(one: str, other: str, both: str) -> None:
    assert in_common(one, other) == both
