"""Long lists are written by the worker: the rows of the page, once each, to whoever asked and may still see them."""

from __future__ import annotations

import hashlib

import pytest

from sifilma.accounts.api_keys import KeyTerms
from sifilma.demo.facts import BANGLI, MAGETAN
from sifilma.dispatch.contract import FILES
from sifilma.dispatch.models import WorkRun
from sifilma.dispatch.queries import work
from sifilma.documents import lists as documents_lists
from sifilma.kernel.actor import KeyScope
from sifilma.kernel.db import db
from sifilma.kernel.timekeeping import stops
from sifilma.own_files import lists, service
from sifilma.own_files.models import FileState
from sifilma.own_files.writer import end_old
from tests.cards.outlets.test_limits import limit
from tests.cards.outlets.test_service import HEAD, SECOND, STAFF, registered, unit_of
from tests.documents.files import table_lines
from tests.own_files.files import PARTS, asked, fetched, one_turn, written
from tests.support.counting import counted
from tests.support.visitor import Visitor, landed
from tests.support.world import World, done

OFFICE = "magetan.kepala"
OTHER_SITES = ("https://contoh.invalid/kartu", "//contoh.invalid/kartu", "/\\contoh.invalid/kartu", "//[")
NO_LISTS = (*OTHER_SITES, "/tidak-ada", "/profil", "/api/v1/cards", "/kartu/baru")


@pytest.fixture
def direct(world: World) -> World:
    """A world in which a list of two rows is long."""
    world.configure(direct_rows=1)
    return world


def test_a_long_list_is_asked_for_on_a_page_written_by_the_worker_and_told_of_by_the_bell(direct: World) -> None:
    world = direct
    ready = world.ready(OFFICE, "R", 3)
    visitor = Visitor(world, OFFICE)
    ask = landed(visitor.get("/kartu", unduh="csv", urut="usia"))
    assert ask.startswith("/berkas/baru?daftar=")
    visitor.get(ask)
    assert "Daftar panjang" in visitor.seen
    page = landed(visitor.send("/berkas", daftar="/kartu?unduh=csv&urut=usia", bentuk="csv")).partition("?")[0]
    again = landed(visitor.send("/berkas", daftar="/kartu?urut=usia", bentuk="csv")).partition("?")[0]
    assert again == page  # twice at once is one file
    assert "hx-trigger" in visitor.get(page).get_data(as_text=True)
    assert "Saat ini tidak ada proses latar" in visitor.seen
    world.beat()
    assert "Saat ini tidak ada proses latar" not in visitor.text(page)
    written(world)
    assert "Berkas sudah siap." in visitor.text(page)
    visitor.get("/pemberitahuan")
    assert "Berkas yang Anda minta sudah siap" in visitor.seen
    answer = visitor.send(f"{page}/unduh")
    assert "kartu.csv" in answer.headers["Content-Disposition"]
    rows = table_lines(answer.get_data())
    assert [row["UID"].replace(" ", "") for row in rows] == ready.uids
    digest = hashlib.sha256(answer.get_data()).hexdigest()
    assert world.sql("SELECT sha256, total, done, written FROM own_file") == [(digest, 3, 3, 3)]
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'file.fetch'")[0][0] == 1


def test_the_same_rows_come_as_the_direct_download_has_them_in_both_forms(world: World) -> None:
    world.ready(OFFICE, "R", 5)
    visitor = Visitor(world, OFFICE)
    for form in ("csv", "xlsx"):
        straight = table_lines(visitor.get("/kartu", unduh=form, state="received").get_data())
        file = asked(world.client(OFFICE), "/kartu?state=received", form)
        written(world)
        mine = fetched(world.client(OFFICE), file)
        assert mine.status_code == 200
        assert len(straight) == 5
        assert [list(row.values()) for row in table_lines(mine.get_data())] == [list(row.values()) for row in straight]


def test_a_worker_that_ends_loses_nothing_and_doubles_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "ROWS", 2)
    ready = world.ready(OFFICE, "R", 5)
    file = asked(world.client(OFFICE), "/kartu?urut=usia")
    for _ in range(3):
        one_turn(world, file["id"])
    assert world.sql("SELECT done, state FROM own_file") == [(4, "running")]
    written(world)
    rows = table_lines(fetched(world.client(OFFICE), file).get_data())
    assert sorted(row["UID"].replace(" ", "") for row in rows) == sorted(ready.uids)


def test_an_idempotency_key_gives_the_same_answer_and_one_file(world: World) -> None:
    world.ready(OFFICE, "R", 2)
    client = world.client(OFFICE)
    first, again = (client.post("/files", {"list": "/kartu?urut=usia"}, Idempotency_Key="k-1") for _ in range(2))
    assert done(first, 202) == done(again, 202)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert world.sql("SELECT COUNT(*) FROM own_file")[0][0] == 1


def test_every_page_says_as_soon_as_the_health_check_that_no_worker_lives(sqlite_world: World) -> None:
    world, client = sqlite_world, sqlite_world.client(OFFICE)
    file = asked(client, "/kartu")
    world.beat()
    for seconds, lives in ((stops.SILENT, True), (1, False)):
        world.clock.advance(seconds=seconds)
        with world.context() as ctx:
            assert work(ctx).lives is lives
        assert done(client.get(f"/files/{file['id']}"))["worked"] is lives


def test_many_files_are_shown_with_as_many_statements_as_one(sqlite_world: World) -> None:
    client = sqlite_world.client(OFFICE)
    with sqlite_world.app.app_context():
        engine, numbers = db.engine, []
    for address in ("/kartu", "/unit", "/manifest"):
        asked(client, address)
        with counted(engine) as found:
            done(client.get("/files"))
        numbers.append(len(found.statements))
    assert numbers[0] == numbers[1] == numbers[2]


def test_a_file_is_its_askers_alone_and_ends(world: World) -> None:
    world.ready(OFFICE, "R", 2)
    client, staff = world.client(OFFICE), world.client("magetan.staf")
    file = asked(client, "/kartu")
    written(world)
    for other in (staff, world.client("operator1")):
        assert other.get(f"/files/{file['id']}").status_code == 404
        assert fetched(other, file).status_code == 404
        assert other.post(f"/files/{file['id']}/cancel").status_code == 404
    assert done(client.get("/files"))["items"][0]["links"]["download"].endswith("/download")
    assert world.sql(PARTS)[0][0] > 0
    world.clock.advance(days=world.settings.keep_own_files_days, seconds=1)
    assert fetched(world.client(OFFICE), file).json["type"].endswith("not-ready")
    with world.context() as ctx:
        assert end_old(ctx) == 1
    assert world.sql(PARTS)[0][0] == world.sql("SELECT COUNT(*) FROM own_file_rows")[0][0] == 0
    assert done(world.client(OFFICE).get(f"/files/{file['id']}"))["state"] == FileState.EXPIRED


def test_whoever_sees_a_row_no_more_gets_no_file_with_it(world: World) -> None:
    head = world.client(HEAD)
    here, there = registered(head), registered(head, **SECOND)
    ready, _ = world.active(HEAD, "R", 2)
    for uid, outlet in zip(ready.uids, (here, there), strict=True):
        done(head.post(f"/units/{unit_of(head, ready.hardware[uid])['id']}/move", {"outlet": outlet["id"]}))
    file = asked(world.client(STAFF), "/kartu?state=active")
    written(world)
    done(head.post(f"/cards/{ready.uids[0]}/reports", {"condition": "damaged", "note": "patah"}))
    assert fetched(world.client(STAFF), file).status_code == 200  # it left the filter, not the reach
    limit(world, here)
    staff = world.client(STAFF)
    refused = fetched(staff, file)
    assert (refused.status_code, refused.json["type"].rpartition(":")[2]) == (403, "out-of-reach")
    assert "tidak lagi dalam jangkauan" in Visitor(world, STAFF).send(f"/berkas/{file['id']}/unduh").get_data(as_text=True)
    anew = asked(staff, "/kartu")
    written(world)
    assert [row["UID"].replace(" ", "") for row in table_lines(fetched(staff, anew).get_data())] == [ready.uids[0]]


def test_a_cancelled_file_leaves_nothing_and_may_be_asked_for_again(world: World) -> None:
    world.ready(OFFICE, "R", 2)
    client = world.client(OFFICE)
    file = asked(client, "/kartu")
    one_turn(world, file["id"])
    assert done(client.post(f"/files/{file['id']}/cancel"))["state"] == "cancelled"
    assert done(client.post(f"/files/{file['id']}/cancel"))["state"] == "cancelled"
    one_turn(world, file["id"])
    assert world.sql("SELECT state FROM own_file") == [("cancelled",)]
    assert asked(client, "/kartu")["id"] != file["id"]


def test_what_is_no_list_of_the_asker_is_refused_in_words(sqlite_world: World) -> None:
    client = sqlite_world.client(OFFICE)
    for address in NO_LISTS:
        assert client.post("/files", {"list": address}).status_code == 422, address
    [refused] = client.post("/files", {"list": "/tidak-ada"}).json["errors"]
    assert refused["field"] == "list"
    for address in OTHER_SITES:
        assert "Kembali ke daftar" not in Visitor(sqlite_world, OFFICE).text("/berkas/baru", daftar=address), address
    assert client.post("/files", {"list": "/pengguna"}).status_code == 202
    assert sqlite_world.client(STAFF).post("/files", {"list": "/pengguna"}).status_code == 403  # only heads see accounts
    assert sqlite_world.client("mandiri.kepala").post("/files", {"list": "/sam-kosong"}).status_code == 403


def test_a_key_has_lists_written_as_its_scopes_show_them(world: World) -> None:
    ready = world.ready(OFFICE, "R", 2)
    machine, other = world.machine(MAGETAN), world.machine(BANGLI)
    file = asked(machine, "/kartu?urut=usia")
    written(world)
    rows = table_lines(fetched(machine, file).get_data())
    assert [row["UID"].replace(" ", "") for row in rows] == ready.uids
    assert fetched(other, file).status_code == fetched(world.client(OFFICE), file).status_code == 404
    assert machine.post("/files", {"list": "/pengguna"}).status_code == 403  # for people
    narrow = world.machine(MAGETAN, KeyTerms(frozenset({KeyScope.UNITS})))
    refused = narrow.post("/files", {"list": "/kartu"})
    assert (refused.status_code, refused.json["type"].rpartition(":")[2]) == (403, "scope-missing")


def test_what_is_of_an_object_out_of_reach_by_now_is_stopped_with_its_reason(world: World) -> None:
    head = world.client(HEAD)
    here, there = registered(head), registered(head, **SECOND)
    ready, _ = world.active(HEAD, "R", 1)
    done(head.post(f"/units/{unit_of(head, ready.hardware[ready.uids[0]])['id']}/move", {"outlet": here["id"]}))
    world.configure(direct_manifests=0)
    file = done(world.client(STAFF).post("/manifests/archive", {"activation_request": ready.request}), 202)
    limit(world, there)
    written(world)
    shown = done(world.client(STAFF).get(f"/files/{file['id']}"))
    assert (shown["state"], shown["failures"]) == ("stopped", 0)
    assert "tidak ada lagi" in Visitor(world, STAFF).text(f"/berkas/{file['id']}")


def test_one_account_has_so_many_files_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_OPEN", 2)
    monkeypatch.setattr(service, "MOST_KEPT", 3)
    world.ready(OFFICE, "R", 1)
    client = world.client(OFFICE)
    asked(client, "/kartu")
    asked(client, "/unit")
    assert client.post("/files", {"list": "/manifest"}).json["type"].endswith("too-many-files")
    written(world)
    file = asked(client, "/manifest")
    refused = client.post("/files", {"list": "/bast"})
    assert (refused.status_code, refused.json["type"].rpartition(":")[2]) == (409, "too-many-files")
    assert asked(client, "/manifest")["id"] == file["id"]  # what is under way is no further file
    asked(world.client(STAFF), "/bast")
    done(client.post(f"/files/{file['id']}/cancel"))
    asked(client, "/bast")


def test_a_cancelled_file_leaves_no_note_of_its_failed_turns(world: World) -> None:
    world.ready(OFFICE, "R", 1)
    client = world.client(OFFICE)
    file = asked(client, "/kartu")
    fault = {"node": "", "began_at": world.clock.now(), "ended_at": world.clock.now(), "seconds": 0.0, "count": 0, "error": "a value"}
    with world.context() as ctx:
        ctx.session.add(WorkRun(chore=FILES, subject=file["id"], failures=6, gave_up_at=ctx.now, **fault))
    assert done(client.get(f"/files/{file['id']}"))["failures"] == 6
    done(client.post(f"/files/{file['id']}/cancel"))
    assert world.sql("SELECT COUNT(*) FROM work_run")[0][0] == 0


def test_what_a_disabled_account_asked_for_is_stopped(world: World) -> None:
    world.ready(OFFICE, "R", 2)
    file = asked(world.client("magetan.staf"), "/kartu")
    one_turn(world, file["id"])
    world.change_account("magetan.staf", state="disabled")
    written(world)
    assert world.sql("SELECT state FROM own_file") == [("stopped",)]
    assert world.sql(PARTS)[0][0] == world.sql("SELECT COUNT(*) FROM own_file_rows")[0][0] == 0


def test_a_list_that_goes_on_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(documents_lists.EXPORTED_ROWS, "csv", 2)
    world.ready(OFFICE, "R", 3)
    file = asked(world.client(OFFICE), "/kartu")
    written(world)
    lines = fetched(world.client(OFFICE), file).get_data().decode("utf-8-sig").splitlines()
    assert len(lines) == 4
    assert "2" in lines[-1]
