"""Lists on pages: paging at constant cost, and exports of what is filtered, without formulas."""

from __future__ import annotations

import csv
import io
import re
import sys
import time
import zipfile
from contextlib import ExitStack
from itertools import chain
from typing import Any

import pytest
from flask import Response
from python_calamine import CalamineWorkbook
from sqlalchemy import UniqueConstraint, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute
from werkzeug.test import TestResponse

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import UNIT, DeviceModel, Unit, UnitCondition
from sifilma.documents import list_views
from sifilma.documents.list_views import ROWS_A_PAGE
from sifilma.documents.lists import Export
from sifilma.identity.models import User
from sifilma.kernel import deadline, paging
from sifilma.kernel.db import db
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.ids import uuid7
from sifilma.web.streams import Streamed, place
from tests.audit.row_changes import past_the_triggers
from tests.support.counting import counted
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import Visitor
from tests.support.world import World, done

FORMULA = "=HYPERLINK(1)"


def numbers(html: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"HW-[0-9A-F]{10}", html)))


def following(page: str) -> str:
    """Return the URL of the next page, empty on the last one."""
    found = re.search(r'rel="next" href="([^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else ""


def walked(visitor: Visitor, path: str) -> list[str]:
    """Return the numbers on all pages, in their order."""
    found = []
    while path:
        page = visitor.get(path).get_data(as_text=True)
        found += numbers(page)
        path = following(page)
    return found


def test_a_list_is_paged_newest_first_at_constant_cost(world: World) -> None:
    made = world.units("magetan.kepala", 2 * ROWS_A_PAGE + 3)
    visitor = Visitor(world, "magetan.kepala")
    path, seen, costs = "/unit", [], []
    while path:
        with world.app.app_context(), counted(db.engine) as count:
            page = visitor.get(path).get_data(as_text=True)
        costs.append(len(count.statements))
        seen.append(numbers(page))
        path = following(page)
    assert [len(part) for part in seen] == [ROWS_A_PAGE, ROWS_A_PAGE, 3]
    assert sorted(chain.from_iterable(seen)) == sorted(made)
    assert max(costs) <= min(costs) + 1


def test_a_list_is_paged_in_another_order(world: World) -> None:
    made = sorted(world.units("magetan.kepala", 2 * ROWS_A_PAGE + 3))
    visitor = Visitor(world, "magetan.kepala")
    assert walked(visitor, "/unit?urut=nomor") == made
    assert walked(visitor, "/unit?urut=-nomor") == made[::-1]
    assert walked(visitor, "/unit?urut=usia") == walked(visitor, "/unit")[::-1]
    assert sorted(walked(visitor, "/unit")) == made


def test_the_order_is_chosen_beside_the_filters_and_applies_to_the_file(world: World) -> None:
    made = sorted(world.units("magetan.kepala", 3))
    visitor = Visitor(world, "magetan.kepala")
    page = visitor.get("/unit?urut=-nomor").get_data(as_text=True)
    assert '<option value="-nomor" selected>Nomor mesin, Z–A</option>' in page
    assert 'href="/unit?urut=-nomor&amp;unduh=csv"' in page
    rows = csv.reader(io.StringIO(visitor.get("/unit?urut=-nomor&unduh=csv").get_data().decode("utf-8-sig")))
    assert [row[0] for row in rows][1:] == made[::-1]


def test_an_unknown_order_and_a_cursor_of_another_order_are_refused(sqlite_world: World) -> None:
    sqlite_world.units("magetan.kepala", ROWS_A_PAGE + 1)
    visitor = Visitor(sqlite_world, "magetan.kepala")
    assert visitor.get("/unit?urut=pcid").status_code == 422
    cursor = following(visitor.get("/unit").get_data(as_text=True)).partition("cursor=")[2]
    assert visitor.get("/unit", cursor=cursor).status_code == 200
    assert visitor.get("/unit", urut="nomor", cursor=cursor).status_code == 422


def test_a_list_says_how_many_rows_it_has_on_every_page_and_counts_no_further_than_it_must(world: World) -> None:
    world.units("magetan.kepala", ROWS_A_PAGE + 2)
    visitor = Visitor(world, "magetan.kepala")
    first = visitor.get("/unit").get_data(as_text=True)
    for page in (first, visitor.get(following(first)).get_data(as_text=True)):
        assert "<strong>27 unit</strong>" in page
    assert "<strong>1 unit</strong>" in visitor.get("/unit", q=numbers(first)[0]).get_data(as_text=True)
    with world.context() as ctx:
        every = select(Unit), Unit.id
        assert [paging.count(ctx.session, every, most) for most in (5, 26, 27)] == [6, 27, 27]
    with world.app.test_request_context():
        assert [list_views.at_most(number, 10_000) for number in (1_234, 10_000, 10_001)] == ["1.234", "10.000", "Lebih dari 10.000"]


def test_a_heading_sorts_upwards_first_and_turns_around(world: World) -> None:
    made = sorted(world.units("magetan.kepala", 3))
    visitor = Visitor(world, "magetan.kepala")
    path, states = "/unit?q=HW", []
    for _ in range(3):
        page = visitor.get(path).get_data(as_text=True)
        sort, path = re.findall(r'<th scope="col"(?: aria-sort="(\w+)")?><a href="([^"]+)" class="[^"]*">Nomor mesin', page)[0]
        path = path.replace("&amp;", "&")
        states.append((sort, path, numbers(page)))
    assert states == [
        ("", "/unit?q=HW&urut=nomor", states[0][2]),
        ("ascending", "/unit?q=HW&urut=-nomor", made),
        ("descending", "/unit?q=HW&urut=nomor", made[::-1]),
    ]


def test_an_empty_list_says_why_it_is_empty(sqlite_world: World) -> None:
    office, operator = Visitor(sqlite_world, "magetan.kepala"), Visitor(sqlite_world, "operator1")
    reach = "hanya yang termasuk lingkup akun Anda"
    assert "Belum ada unit." in office.text("/unit")
    assert reach in office.seen
    assert "Daftarkan" in office.seen
    assert "saringan ini" not in office.seen
    assert "Belum ada unit." in operator.text("/unit")
    assert reach not in operator.seen
    assert "Tidak ada yang cocok dengan saringan ini." in office.text("/unit", q="HW", urut="nomor")
    assert "Belum ada unit." not in office.seen
    assert office.text("/unit", q="  ").count("Belum ada unit.") == 1
    [only] = sqlite_world.units("magetan.kepala", 1)
    behind = paging._encode([sqlite_world.sql("SELECT id FROM unit")[0][0]])
    assert "sudah tidak berisi apa pun" in office.text("/unit", cursor=behind)
    assert only not in office.seen


AFTER = {"activation.place_distance_m": "review_state"}
"""Columns that a list is sorted by within one value of another column, by which it is always filtered."""


def exports() -> list[Export]:
    """Return every list of the application, as its modules have them."""
    every = [module for name, module in sys.modules.items() if name.startswith("sifilma.")]
    return list({id(one): one for module in every for one in vars(module).values() if isinstance(one, Export)}.values())


def test_every_order_of_a_list_rests_on_an_index(sqlite_world: World) -> None:
    assert sqlite_world.app
    found = [column for export in exports() for _words, column in export.orders.values()]
    assert len(found) >= 13
    assert [str(column) for column in found if not rests_on_an_index(column)] == []
    assert not rests_on_an_index(Unit.sam_perso)


def rests_on_an_index(column: InstrumentedAttribute[Any]) -> bool:
    """Tell whether an index begins with the column (after the one it is filtered by), so that a page is read from it in order."""
    table = column.property.columns[0].table
    name, first = column.key, AFTER.get(f"{table.name}.{column.key}")
    of = [list(index.columns.keys()) for index in table.indexes]
    of += [list(one.columns.keys()) for one in table.constraints if isinstance(one, UniqueConstraint)]
    return any(columns[: 2 if first else 1] == [*filter(None, [first]), name] for columns in of)


LISTS = {
    "operator1": "/kartu /unit /personalisasi /aktivasi /manifest /manifest/usulan /tinjauan /bast /pemusnahan /model /organisasi/usulan",
    "admin1": "/organisasi /pengguna /pesan",
    "magetan.kepala": "/pekerjaan /aktivasi/riwayat",
}


def test_every_list_is_complete_in_each_of_its_orders(world: World) -> None:
    _, active = world.active(count=2)
    for one in active:
        done(world.client("operator1").post(f"/manifests/{one['manifest']['id']}/revoke", {"reason": "mesin dicuri"}), 202)
    world.submitted("bangli.kepala")
    world.institution_ready()
    tried = 0
    for who, paths in LISTS.items():
        visitor = Visitor(world, who)
        for path in paths.split():
            choices = visitor.get(path).get_data(as_text=True).partition('name="urut">')[2].partition("</select>")[0]
            orders = re.findall(r'<option value="([^"]*)"', choices)
            files = {order: visitor.get(path, urut=order, unduh="csv").get_data(as_text=True).splitlines()[1:] for order in orders}
            assert len(files) >= 2, path
            assert {order: sorted(rows) for order, rows in files.items()} == dict.fromkeys(files, sorted(files[""])), path
            tried += len(files)
    assert tried > 2 * len(LISTS)


def test_a_filter_applies_to_every_page_and_other_organisations_are_not_listed(world: World) -> None:
    world.units("bangli.kepala", 2)
    [own] = world.units("magetan.kepala", 1)
    visitor = Visitor(world, "magetan.kepala")
    assert numbers(visitor.get("/unit").get_data(as_text=True)) == [own]
    page = visitor.get("/unit", q=own).get_data(as_text=True)
    assert numbers(page) == [own]
    assert f'href="/unit?q={own}&amp;unduh=csv"' in page
    assert numbers(visitor.get("/unit?q=NONE").get_data(as_text=True)) == []


def test_a_list_is_exported_completely_with_a_worded_header(world: World) -> None:
    made = world.units("magetan.kepala", ROWS_A_PAGE + 2)
    response = Visitor(world, "magetan.kepala").get("/unit?unduh=csv")
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert response.mimetype == "text/csv"
    header, *rows = csv.reader(io.StringIO(response.get_data().decode("utf-8-sig")))
    assert header == ["Nomor mesin", "Model", "Fungsi", "Status", "Kondisi", "Kartu SAM", "PCID", "Gerai", "Kode cabang"]
    assert sorted(row[0] for row in rows) == sorted(made)
    english = Visitor(world, "magetan.kepala", language="en").get("/unit?unduh=csv").get_data().decode("utf-8-sig")
    assert english.startswith("Hardware number,")


@pytest.mark.parametrize("wanted", ["csv", "xlsx"])
def test_an_export_contains_no_formula(sqlite_world: World, wanted: str) -> None:
    sqlite_world.units("magetan.kepala", 1)
    past_the_triggers(sqlite_world, "UPDATE device_model SET name = :name WHERE name = 'LEN-ENC-1'", name=FORMULA)
    data = Visitor(sqlite_world, "magetan.kepala").get(f"/unit?unduh={wanted}").get_data()
    if wanted == "csv":
        [_, row] = csv.reader(io.StringIO(data.decode("utf-8-sig")))
        assert row[1] == f"'{FORMULA}"
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")
            assert FORMULA.encode() in book.read("xl/worksheets/sheet1.xml")


def exported(world: World, most: int, *, oldest_first: bool = False) -> list[list[str]]:
    """Return the rows of a list of machines as a file with at most `most` rows, without its header."""
    export = Export("mesin", {"Nomor": lambda unit: unit.hardware_number}, most, counted=lambda _, words: words)
    with world.app.test_request_context("/unit?unduh=csv"):
        answer = list_views.answer("", (select(Unit), Unit.id), lambda units: units, export, oldest_first=oldest_first)
    return list(csv.reader(io.StringIO(answer.get_data().decode("utf-8-sig"))))[1:]


def test_a_file_has_the_order_of_its_list(world: World) -> None:
    made = [world.units("magetan.kepala", 1) for _ in range(3)]
    assert exported(world, 9, oldest_first=True) == made
    assert exported(world, 9) == made[::-1]


def test_a_file_that_is_cut_off_says_so(sqlite_world: World) -> None:
    made = [sqlite_world.units("magetan.kepala", 1) for _ in range(3)]
    assert exported(sqlite_world, 3, oldest_first=True) == made
    *rows, last = exported(sqlite_world, 2, oldest_first=True)
    assert rows == made[:2]
    assert last == ["Daftar ini masih berlanjut: hanya 2 baris pertama yang dimuat di sini. Persempit dengan saringan."]


# --- long lists ------------------------------------------------------------------------------------------------------


LONG = 3000  # rows: four parts, six groups


def with_long_list(world: World) -> World:
    """Give one office LONG machines."""
    with world.context() as ctx:
        model = ctx.session.scalars(select(DeviceModel.id).where(DeviceModel.function == "R")).first()
        office = ctx.session.scalars(select(User.organisation_id).where(User.username == "magetan.kepala")).one()
        same = {"organisation_id": office, "model_id": model, "function": "R", "sam_perso": "", "created_at": ctx.now}
        rows = [Unit(id=uuid7(), hardware_number=f"HW-{number:010X}", pcid=f"{number:032X}", **same) for number in range(LONG)]
        act = record(ctx, Action.UNIT_REGISTER, UNIT.kind, rows[0].id, rows=rows)
        for unit in rows:
            UNIT.born(unit, UnitCondition.WORKING, act)
        ctx.session.add_all(rows)
    return world


@pytest.fixture
def long_list(world: World) -> World:
    """Return an installation with LONG machines of one office."""
    return with_long_list(world)


def begun(world: World, kind: str = "csv", method: str = "GET") -> TestResponse:
    """Return the answer with the file of all machines, of which nothing was read yet."""
    return Visitor(world, "magetan.kepala").client.open(f"/unit?urut=nomor&unduh={kind}", method=method, headers={"Accept": "text/html"})


def test_a_long_list_is_read_in_groups_while_it_is_sent_from_one_state_of_the_database(long_list: World) -> None:
    with long_list.app.app_context(), counted(db.engine) as count:
        answer = begun(long_list)
        early = sum("FROM card" in one for one in count.statements)
        run_simultaneously([lambda: long_list.units("magetan.kepala", 1)])  # in another thread, as another request is
        _, *rows = csv.reader(io.StringIO(answer.get_data().decode("utf-8-sig")))
    assert "Content-Length" not in answer.headers
    assert [row[0] for row in rows] == [f"HW-{number:010X}" for number in range(LONG)]
    groups = LONG // paging.WALKED
    assert early < groups < sum("FROM card" in one for one in count.statements) <= groups + 1  # the other request asks once


def test_a_long_xlsx_holds_every_row(sqlite_world: World) -> None:
    book = CalamineWorkbook.from_filelike(io.BytesIO(begun(with_long_list(sqlite_world), "xlsx").get_data()))
    assert [row[0] for row in book.get_sheet_by_index(0).to_python()][1:] == [f"HW-{number:010X}" for number in range(LONG)]


def test_a_database_that_goes_away_cuts_the_file_off_and_the_next_one_is_whole(postgresql_world: World) -> None:
    answer = begun(with_long_list(postgresql_world))
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    run_simultaneously([lambda: postgresql_world.sql(others)])
    with pytest.raises(DBAPIError):
        answer.get_data()
    assert begun(postgresql_world).get_data().count(b"\n") == LONG + 1


def test_long_lists_leave_half_of_the_threads_to_others_and_give_their_places_back(postgresql_world: World) -> None:
    world = with_long_list(postgresql_world)
    begun(world).close()  # as the server does when the client has gone
    with world.app.app_context(), ExitStack() as held:
        for _ in range(world.settings.threads // 2):
            held.enter_context(place())
        refused = begun(world, "xlsx")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        assert "Cobalah sebentar lagi" in refused.get_data(as_text=True)
    assert begun(world).get_data().count(b"\n") == LONG + 1


def test_asking_for_the_head_of_a_list_reads_no_rows(sqlite_world: World) -> None:
    with sqlite_world.app.app_context(), counted(db.engine) as count:
        answer = begun(sqlite_world, "xlsx", "HEAD")
    assert (answer.status_code, answer.get_data()) == (200, b"")
    assert len(count.statements) < 7  # two make the session of the test, one counts whether the worker would write the list


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_list_may_take_longer_than_a_request_but_not_without_end(postgresql_world: World, kind: str) -> None:
    world = with_long_list(postgresql_world)

    def answer(seconds: float) -> Response:
        made = list_views.answer(
            "",
            (select(Unit), Unit.id),
            slowly,
            Export("mesin", {"N": lambda unit: unit.hardware_number}, seconds=seconds, counted=lambda _, words: words),
        )
        assert isinstance(made, Streamed)
        made.begin()
        return made

    def slowly(units: list[Unit]) -> list[Unit]:
        time.sleep(0.03)
        return units

    with world.app.test_request_context(f"/unit?unduh={kind}"), deadline.limit(0.1):
        assert len(answer(60).get_data()) > LONG
        assert (deadline.remaining() or 0) > 0
        with pytest.raises(Unavailable, match="too long"):
            answer(0)
