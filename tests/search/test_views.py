"""The search: whole identifiers in every spelling, parts of three characters, at a fixed and small cost."""

from __future__ import annotations

import re

import pytest

from sifilma.kernel import ways
from sifilma.kernel.db import db
from sifilma.kernel.statements import finders
from sifilma.search import queries
from sifilma.search.queries import MOST_COUNTED, SHOWN, spelled
from tests.support.counting import counted
from tests.support.visitor import Visitor, english
from tests.support.world import World, done


def wide(text: str) -> str:
    """Return ASCII in full width, as some keyboards and PDFs give it."""
    return "".join(chr(ord(sign) + 0xFEE0) if sign > " " else "\u3000" for sign in text)


def hits(visitor: Visitor, text: str, **query: str) -> list[str]:
    """Return the pages that the search leads to for a text."""
    page = visitor.get("/cari", q=text, **query)
    assert page.status_code == 200
    return re.findall(r'<li><a href="([^"]+)"', page.get_data(as_text=True).partition("<main")[2].partition("</main>")[0])


def test_a_whole_identifier_is_found_in_every_spelling(world: World) -> None:
    [uid] = world.received("magetan.kepala", "R")
    [number] = world.units("magetan.kepala", 1)
    [(pcid,)] = world.sql("SELECT pcid FROM unit WHERE hardware_number = :number", number=number)
    [(bast,)] = world.sql("SELECT number FROM handover")
    [(letter,)] = world.sql("SELECT letter_number FROM personalisation_request")
    pairs = " ".join(uid[at : at + 2] for at in range(0, len(uid), 2))
    office = Visitor(world, "magetan.kepala")
    for text in (uid, uid.lower(), pairs, pairs.replace(" ", ":"), pairs.replace(" ", "-"), wide(pairs), f"  {uid} "):
        assert hits(office, text) == [f"/kartu/{uid}"], text
    for text in (number, number.lower(), wide(number), pcid, pcid.lower(), ":".join(re.findall("..", pcid))):
        assert [hit.partition("/unit/")[0] for hit in hits(office, text)] == [""], text
    for text, path in (
        (bast, "/bast/"),
        (bast.lower(), "/bast/"),
        (letter, "/personalisasi/"),
        (letter.upper().replace("/", " / "), "/personalisasi/"),
    ):
        assert [hit.startswith(path) for hit in hits(office, text)] == [True], text
    assert hits(office, "35.20") == [f"/organisasi/{world.organisation_of('magetan.kepala')}"]


def test_a_person_is_found_by_user_name_and_whole_id_number_alone(world: World) -> None:
    nip = "199505052020032015"
    new = {"name": "Umi Contoh", "username": "magetan.baru", "id_kind": "nip", "id_number": nip, "roles": ["staff"]}
    invited = done(world.client("magetan.kepala").post("/users", new), 201)["user"]["id"]
    head, admin, other = (Visitor(world, name) for name in ("magetan.kepala", "admin1", "bangli.kepala"))
    spaced = f"{nip[:8]} {nip[8:14]} {nip[14:]}"
    for text in ("magetan.baru", "Magetan.BARU", nip, spaced, wide(spaced)):
        assert [hits(one, text) for one in (head, admin, other)] == [[f"/pengguna/{invited}"]] * 2 + [[]], text
    [(number,)] = world.sql("SELECT p.id_number FROM user_account u JOIN person p ON p.id = u.person_id WHERE u.username = 'magetan.staf'")
    assert hits(head, number) == [f"/pengguna/{world.users['magetan.staf']}"]  # an employee number is one of an organisation
    assert hits(admin, nip[:-1]) == []  # a part of an id number finds nobody
    assert f"/pengguna/{invited}" in hits(admin, "umi c")


def test_parts_are_looked_for_from_three_characters_on_and_never_as_patterns(world: World) -> None:
    [uid] = world.received("magetan.kepala", "R")
    operator = Visitor(world, "operator1")
    assert f"/kartu/{uid}" in hits(operator, uid[4:7])
    assert hits(operator, uid[4:6]) == []
    assert "paling sedikit tiga huruf atau angka" in operator.seen
    for text in ("%%%", "___", "3%0", uid[:3] + "%" + uid[4:], uid[:3] + "_" + uid[4:], "::::", "---"):
        assert hits(operator, text) == [], text
    assert hits(operator, uid) == [f"/kartu/{uid}"]
    assert "Cari juga semua yang memuatnya" in operator.seen
    assert f"/kartu/{uid}" in hits(operator, uid, bagian="1")
    assert hits(operator, "TIADA") == []
    assert "Tidak ada yang ditemukan dalam lingkup akun Anda." in operator.seen
    assert len(spelled("x " * 500)) <= 100


def test_the_search_costs_a_fixed_number_of_statements_and_shows_a_bounded_part(world: World) -> None:
    world.received("magetan.kepala", "R", 2)
    operator = Visitor(world, "operator1")

    def cost(text: str) -> int:
        with world.app.app_context(), counted(db.engine) as found:
            operator.get("/cari", q=text)
        return len(found.statements)

    nothing, few = cost(""), cost("Magetan")
    with world.app.app_context():  # PostgreSQL's indexes are asked first, in one statement
        asked = 1 if db.engine.dialect.name == "postgresql" else 0
    assert few == nothing + 2 + asked
    assert cost("HW-00") == nothing + 2  # no three letters or digits in a row
    same = {"model": "LEN-ENC-1", "function": "RW"}
    many = [same | {"hardware_number": f"SAMA-{number}"} for number in range(MOST_COUNTED + 5)]
    done(world.client("magetan.kepala").post("/units", many), 201)
    assert cost("HW-") == nothing + 1  # too short for parts
    assert len(hits(operator, "sama-")) == SHOWN
    assert f"Lebih dari {MOST_COUNTED}" in operator.seen
    assert cost("SAMA-") == few + asked  # and the cards in the units that were found


@pytest.mark.parametrize(
    ("who", "sees"), [("magetan.kepala", True), ("bangli.kepala", False), ("jatim.kepala", True), ("kustodian1", False)]
)
def test_what_lies_outside_the_reach_of_an_account_is_not_found(world: World, who: str, sees: bool) -> None:
    [uid] = world.received("magetan.kepala", "R")
    visitor = Visitor(world, who)
    assert (f"/kartu/{uid}" in hits(visitor, uid)) is sees
    assert (f"/kartu/{uid}" in hits(visitor, uid[:-1])) is sees


def test_the_box_is_on_every_page_of_those_who_are_signed_in_alone(sqlite_world: World) -> None:
    box = 'id="cari"'
    assert box in Visitor(sqlite_world, "operator1").get("/").get_data(as_text=True)
    assert box not in Visitor(sqlite_world).get(
        "/beranda",
    ).get_data(as_text=True)
    assert Visitor(sqlite_world).get("/cari", q="x").status_code in (302, 303, 401)


def test_what_very_many_have_is_looked_for_among_the_newest_and_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.app.app_context():
        by_index = db.engine.dialect.name == "postgresql"
    monkeypatch.setattr(finders, "SOME", 3)
    for module in (ways, queries):
        monkeypatch.setattr(module, "LOOKED", 10)
    names = [f"SAMA-{number:02}" for number in range(12)]
    for name in [*names, "LAIN-1", "LAIN-2", "LAIN-3"]:
        done(world.client("magetan.kepala").post("/units", [{"model": "LEN-ENC-1", "function": "RW", "hardware_number": name}]), 201)
    visitor = english(world, "magetan.kepala")
    for who in ("operator1", "jatim.kepala", "magetan.kepala"):
        visitor = english(world, who)
        assert len(hits(visitor, "SAMA-")) == SHOWN
        assert ("7 among the newest 10" in visitor.seen) == by_index, who
        assert listed(visitor, "/unit?q=SAMA-") == names[::-1], who
        assert ("a page looks through 10 rows" in visitor.get("/unit", q="SAMA-").get_data(as_text=True)) == by_index
    for module in (ways, queries):
        monkeypatch.setattr(module, "LOOKED", 2)
    assert hits(visitor, "SAMA-") == ([] if by_index else hits(visitor, "SAMA-"))
    assert ("Very many numbers have this part" in visitor.seen, "0 among the newest 2" in visitor.seen) == (by_index, by_index)
    assert ("Nothing among the 2 rows" in visitor.text("/unit", q="SAMA-")) == by_index
    assert listed(visitor, "/unit?q=SAMA-") == names[::-1]


def listed(visitor: Visitor, page: str | None) -> list[str]:
    """Return the hardware numbers of all pages of a list, which its links to the next page lead through."""
    found = list[str]()
    while page:
        html = visitor.get(page).get_data(as_text=True)
        found += re.findall(r">(SAMA-\d\d|LAIN-\d)<", html)
        after = re.search(r'rel="next" href="([^"]+)"', html)
        page = after[1].replace("&amp;", "&") if after else None
    return found
