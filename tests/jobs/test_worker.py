"""Jobs end: each turn settles a row, no row and no file stops the others, organisations take turns, and a job can be cancelled."""

from __future__ import annotations

import io
import json
import time
import zlib
from dataclasses import replace
from typing import Any
from uuid import UUID
from zipfile import ZipFile

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from sifilma.activation.tokens import sealing
from sifilma.fsck.run import examine
from sifilma.jobs import service, worker
from sifilma.jobs.failed_rows import cells_of
from sifilma.jobs.models import Job, JobKind, JobLine
from sifilma.jobs.service import NewJob
from sifilma.jobs.worker import Taken, Tools
from sifilma.kernel import schemas
from sifilma.kernel.ids import uuid7
from sifilma.regions.place import PlaceCheck, Placed
from sifilma.regions.sources import place_check
from tests.activation.bulk.sheets import HEADER, rows_of, send, sent, sheet, tools, worked
from tests.documents.files import rezipped, table_lines, xlsx
from tests.fsck.conftest import installation
from tests.support.softhsm import SoftHSM
from tests.support.world import Client, World, done, new_uid

OFFICE, COLLEAGUE, OTHER = "magetan.kepala", "magetan.staf", "bangli.kepala"
CHECKS = ("job-counts", "job-lines", "job-file", "job-idle", "job-result", "state-last-step", "steps-in-table", "step-act", "act-step")
JOB = "SELECT state, done, failed, tries, working_on, waits_for FROM job"


class Died(BaseException):
    """What ends a worker without its doing anything more, as SIGKILL does."""


class Places(PlaceCheck):
    """The check of places, which takes `seconds`, and ends the worker at a latitude."""

    def __init__(self, world: World, seconds: float = 0, deadly: float | None = None) -> None:
        super().__init__(place_check(world.settings.home).source)
        self._seconds, self._deadly = seconds, deadly

    def check(self, latitude: float, longitude: float, accuracy_m: float, code: str) -> Placed:
        time.sleep(self._seconds)
        if latitude == self._deadly:
            raise Died
        return super().check(latitude, longitude, accuracy_m, code)


def turn(world: World, name: str = "worker", job_tools: Tools | None = None) -> str:
    """Give the job whose turn it is a turn without any time. Return the job's id, empty if none is due."""
    with world.app.app_context():
        mine = job_tools or tools(world, name)
        job = worker._take(mine)
        if job is None:
            return ""
        worker._serve(Taken(mine, job, time.monotonic() - 1))
        return str(job.id)


def refusable(count: int, **cells: str) -> list[list[Any]]:
    """Return rows of cards that nobody holds."""
    base = dict(zip(HEADER, ("", "ABCDEFGHJK", "HW-1", -7.6536, 111.328, 10, "device", "Kantor", "35.20.06.1014", ""), strict=True)) | cells
    return [[new_uid() if name == "sam_uid" else base[name] for name in HEADER] for _ in range(count)]


def poison(world: World, number: int, address: str) -> None:
    """Exchange the address of a waiting row for one that intake refuses, as an earlier version took it in."""
    with world.context() as ctx:
        line = ctx.session.scalars(select(JobLine).where(JobLine.number == number)).one()
        cells = cells_of(world.settings, line) | {"address": address}
        line.cells = worker.sealed_cells(world.settings, line.job_id, number, cells)


def finish(world: World) -> None:
    """Let the worker finish its job after the HSM came back: a process notices that within about a second."""
    until = time.monotonic() + 20
    while world.sql("SELECT state FROM job")[0][0] != "completed" and time.monotonic() < until:
        turn(world)
        world.clock.advance(seconds=worker.LONGEST_PAUSE.seconds)
        time.sleep(0.1)


def errors(client: Client, job: Any) -> list[tuple[int, str, str]]:
    found = done(client.get(f"/jobs/{job['id']}/errors"))["items"]
    return [(error["row"], error["field"], error["message"]) for error in found]


def given_back(client: Client, job: Any) -> list[dict[str, str]]:
    answer = client.get(f"/jobs/{job['id']}/corrected", kind="csv")
    return table_lines(answer.get_data())


def sound(world: World) -> list[str]:
    """Return what the invariants of jobs and of their lives find."""
    return [str(finding) for finding in examine(installation(world), CHECKS).findings]


# --- each turn settles a row ---------------------------------------------------------------------------------------------


def test_a_turn_whose_time_is_over_does_not_end_without_a_row(world: World) -> None:
    job = sent(world.client(OFFICE), sheet(refusable(3)))
    for count in (1, 2, 3):
        assert turn(world) == job["id"]
        assert world.sql("SELECT done, tries FROM job")[0] == (count, 0)
    turn(world)
    assert world.sql("SELECT state FROM job")[0][0] == "completed"


def test_slow_rows_do_not_hold_a_turn_beyond_its_time(world: World) -> None:
    sent(world.client(OFFICE), sheet(rows_of(world.ready(OFFICE, "R", 6))))
    with world.app.app_context():
        slow = replace(tools(world), places=lambda: Places(world, seconds=0.3))
        began = time.monotonic()
        assert 1 <= worker.work(slow, 0.4) < 6
        assert time.monotonic() - began < 1.5


def test_a_small_file_of_enormous_cells_makes_no_job(sqlite_world: World) -> None:
    """300 rows of 40,000 characters in a few kilobytes: opening them anew took a worker longer than a turn."""
    made = xlsx(HEADER, *refusable(300, address="ALAMAT"))  # its texts are shared
    with ZipFile(io.BytesIO(made)) as archive:
        strings = archive.read("xl/sharedStrings.xml").replace(b"ALAMAT", b"x" * 40_000)
    data = rezipped(made, {"xl/sharedStrings.xml": strings})
    assert len(data) < 30_000
    assert send(sqlite_world.client(OFFICE), data, "aktivasi.xlsx").status_code == 422
    assert sqlite_world.sql("SELECT COUNT(*) FROM job")[0][0] == 0


def test_rows_that_the_schema_refuses_have_their_errors_before_a_worker_comes(world: World) -> None:
    rows = refusable(3)
    rows[0][HEADER.index("latitude")] = "tujuh"
    rows[1][HEADER.index("address")] = "x" * 501
    office = world.client(OFFICE)
    job = sent(office, sheet(rows))
    assert (job["state"], job["done"], job["failed"], job["undone"]) == ("queued", 2, 2, 1)
    assert [(row, field) for row, field, _ in errors(office, job)] == [(2, "latitude"), (3, "address")]
    assert sound(world) == []
    assert worked(world) == 1
    assert done(office.get(f"/jobs/{job['id']}"))["state"] == "completed"


def test_a_file_of_an_earlier_version_is_finished(world: World) -> None:
    """It was sealed as a whole, in the row of the job."""
    ready = world.ready(OFFICE, "R", 2)
    rows = [[number, dict(zip(HEADER, map(str, row), strict=True))] for number, row in enumerate(rows_of(ready), start=2)]
    with world.acting(OFFICE) as ctx:
        organisation, job_id = world.organisation_of(OFFICE), uuid7()
        data_key = sealing.ensure_key(ctx, world.hsm, organisation)
        sealed = data_key.id.bytes + sealing.seal(
            sealing.unwrap(world.hsm, data_key), zlib.compress(json.dumps(rows).encode()), b"job", job_id
        )
        ctx.uow.begin_write()
        service.begin(ctx, NewJob(job_id, JobKind.ACTIVATION, "lama.csv", list(HEADER), 2))
        ctx.session.execute(update(Job).values(sealed=sealed))
    assert sound(world) == []
    assert turn(world) == str(job_id)
    assert world.sql("SELECT done, length(sealed) FROM job")[0] == (1, 0)
    assert worked(world) == 1
    assert world.sql("SELECT state, done, failed FROM job")[0] == ("completed", 2, 0)
    assert sound(world) == []


# --- a row's own fault is no outage --------------------------------------------------------------------------------------


def test_a_row_that_intake_let_pass_once_does_not_stop_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "_seen", lambda typed, _: typed)  # texts were not put right then
    _poisoned(world, "Kantor \ud800", "address", "Input should be a valid string")


def test_a_row_that_the_database_does_not_store_does_not_stop_the_others(postgresql_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "_seen", lambda typed, _: typed)
    _poisoned(postgresql_world, "Kantor \x00", "", "A value in this row cannot be stored.")


def _poisoned(world: World, address: str, column: str, words: str) -> None:
    office = world.client(OFFICE)
    job = sent(office, sheet(rows_of(world.ready(OFFICE, "R", 3))))
    poison(world, 3, address)
    assert worked(world) == 3
    assert world.sql(JOB)[0] == ("completed", 3, 1, 0, None, "")
    ((row, field, told),) = errors(office, job)
    assert (row, field) == (3, column)
    assert told.startswith(words)
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 2
    assert sound(world) == []


def test_a_row_that_fails_as_nobody_expected_does_not_stop_the_others(world: World) -> None:
    """Two tokens were exchanged in the database: neither opens in the other's place."""
    ready = world.ready(OFFICE, "R", 3)
    office = world.client(OFFICE)
    job = sent(office, sheet(rows_of(ready)))
    world.sql("UPDATE job_line SET secret = (SELECT l.secret FROM job_line l WHERE l.number = 4) WHERE number = 3")
    assert worked(world) == 3
    assert world.sql(JOB)[0] == ("completed", 3, 1, 0, None, "")
    ((row, field, words),) = errors(office, job)
    assert (row, field) == (3, "")
    assert words.startswith("An internal error")


# --- a limit of tries ----------------------------------------------------------------------------------------------------


def test_an_outage_of_a_day_does_not_end_a_job(sqlite_world: World, softhsm: SoftHSM) -> None:
    world = sqlite_world
    job = sent(world.client(OFFICE), sheet(rows_of(world.ready(OFFICE, "R", 1))))
    with softhsm.away():
        for _ in range(worker.MOST_TRIES + 4):
            assert turn(world) == job["id"]
            assert turn(world) == ""  # it waits, and is not tried without a pause
            world.clock.advance(hours=3)
        assert world.sql(JOB)[0] == ("running", 0, 0, 0, None, "hsm")
        shown = done(world.client(OFFICE).get(f"/jobs/{job['id']}"))
        assert (shown["waits_for"], shown["waiting_since"][:19]) == ("hsm", f"{world.start:%Y-%m-%dT%H:%M:%S}")
    finish(world)
    assert world.sql(JOB)[0] == ("completed", 1, 0, 0, None, "")


def test_the_pauses_of_an_outage_grow_to_a_minute(sqlite_world: World, softhsm: SoftHSM) -> None:
    world = sqlite_world
    sent(world.client(OFFICE), sheet(refusable(1)))
    waited, pauses = 0, list[int]()
    with softhsm.away():
        while len(pauses) < 6:
            before = waited
            while turn(world) == "":
                world.clock.advance(seconds=1)
                waited += 1
            pauses.append(waited - before)
    assert pauses == [0, 5, 5, 10, 20, 40]
    finish(world)


def test_a_row_that_kills_three_workers_is_given_up_and_the_rest_is_done(world: World) -> None:
    rows = rows_of(world.ready(OFFICE, "R", 4))
    rows[2][HEADER.index("latitude")] = -7.6537
    office = world.client(OFFICE)
    job = sent(office, sheet(rows))
    deaths = 0
    for number in range(10):
        with world.app.app_context():
            successor = replace(tools(world, f"worker {number}"), places=lambda: Places(world, deadly=-7.6537))
            try:
                worker.work(successor, 5)
            except Died:
                deaths += 1
        if world.sql("SELECT state FROM job")[0][0] == "completed":
            break
    assert world.sql(JOB)[0] == ("completed", 4, 1, 0, None, "")
    assert deaths == 1 + worker.ROW_TRIES  # once among others, then alone
    assert errors(office, job) == [(4, "", "The work broke off 3 times at this row. It was given up.")]
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 3
    assert sound(world) == []


def test_a_worker_that_lives_on_counts_no_try(world: World) -> None:
    """It could not give its lease back, since the database was away: it takes the job again under the same name."""
    sent(world.client(OFFICE), sheet(refusable(1)))
    with world.app.app_context():
        for _ in range(worker.MOST_TRIES + 3):
            assert worker._take(tools(world)) is not None
    assert world.sql("SELECT tries FROM job")[0][0] == 1


def test_a_job_whose_turns_fail_again_and_again_is_stopped_and_gives_its_rows_back(world: World) -> None:
    office = world.client(OFFICE)
    job = sent(office, sheet(refusable(2, address="Jalan Pahlawan 1")))
    key = world.sql("SELECT secret FROM job_line LIMIT 1")[0][0]
    world.sql("UPDATE job_line SET secret = :lost", lost=uuid7().bytes + bytes(key)[16:])  # the data key is not there
    turns = 0
    while world.sql("SELECT state FROM job")[0][0] != "stopped" and turns < 20:
        turns += bool(turn(world))
        world.clock.advance(seconds=worker.LONGEST_PAUSE.seconds)
    assert turns == worker.MOST_TRIES + 1
    shown = done(office.get(f"/jobs/{job['id']}"))
    assert (shown["state"], shown["note"], shown["undone"]) == ("stopped", "The work failed again and again at the same place.", 2)
    rows = given_back(office, job)
    assert [(row["address"], row["token"]) for row in rows] == [("Jalan Pahlawan 1", "")] * 2
    assert {row["error"] for row in rows} == {"Not done: the work was stopped before this row."}
    assert world.sql("SELECT COUNT(*) FROM job_line WHERE secret IS NOT NULL")[0][0] == 0
    assert sound(world) == []


# --- cancel --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [COLLEAGUE, "operator1"])
def test_a_job_is_cancelled_by_its_organisation_and_by_an_operator(world: World, who: str) -> None:
    ready = world.ready(OFFICE, "R", 2)
    job = sent(world.client(OFFICE), sheet(rows_of(ready)))
    assert turn(world) == job["id"]
    path = f"/jobs/{job['id']}/cancel"
    assert world.client(OTHER).post(path).status_code == 404
    assert world.client("auditor1").post(path).status_code == 403
    machine = world.machine("Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan")
    assert machine.post(path).status_code == 403
    cancelled = done(world.client(who).post(path, {"note": "berkas keliru"}))
    assert (cancelled["state"], cancelled["done"], cancelled["undone"], cancelled["note"]) == ("cancelled", 1, 1, "berkas keliru")
    assert done(world.client(who).post(path, {"note": "sekali lagi"}))["note"] == "berkas keliru"
    assert worked(world) == 0
    assert world.sql("SELECT COUNT(*) FROM job_line WHERE secret IS NOT NULL")[0][0] == 0
    (row,) = given_back(world.client(OFFICE), job)
    assert (row["sam_uid"], row["token"], row["error"]) == (ready.uids[1], "", "Not done: the work was cancelled before this row.")
    acts = "SELECT user_id FROM audit_entry WHERE action = 'job.cancel'"
    assert [UUID(str(user)) for (user,) in world.sql(acts)] == [world.users[who]]
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 1
    assert sound(world) == []


def test_a_cancel_in_the_middle_of_a_turn_leaves_no_half_row(world: World) -> None:
    job = sent(world.client(OFFICE), sheet(rows_of(world.ready(OFFICE, "R", 2))))
    with world.app.app_context():
        mine = tools(world)
        held = worker._take(mine)
        assert held is not None
        done(world.client(OFFICE).post(f"/jobs/{job['id']}/cancel"))
        with capture_logs() as logged:
            assert worker._serve(Taken(mine, held, time.monotonic() + 5)) == 0
    assert [one for one in logged if one["log_level"] == "error"] == []
    assert world.sql(JOB)[0] == ("cancelled", 0, 0, 0, None, "")
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 0
    assert {state for (state,) in world.sql("SELECT state FROM token")} == {"issued"}
    assert sound(world) == []


def test_a_cancel_while_rows_are_signed_leaves_no_half_row(world: World) -> None:
    """It comes when the worker has read and checked its rows, and is about to write them."""
    job = sent(world.client(OFFICE), sheet(rows_of(world.ready(OFFICE, "R", 2))))
    client = world.client(OFFICE)

    class Cancelling(Places):
        def check(self, latitude: float, longitude: float, accuracy_m: float, code: str) -> Placed:
            client.post(f"/jobs/{job['id']}/cancel")
            return super().check(latitude, longitude, accuracy_m, code)

    with world.app.app_context(), capture_logs() as logged:
        assert worker.work(replace(tools(world), places=lambda: Cancelling(world)), 5) == 0
    assert [one for one in logged if one["log_level"] == "error"] == []
    assert world.sql(JOB)[0] == ("cancelled", 0, 0, 0, None, "")
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 0
    assert sound(world) == []


def test_a_job_that_has_ended_is_not_cancelled(sqlite_world: World) -> None:
    office = sqlite_world.client(OFFICE)
    job = sent(office, sheet(refusable(1)))
    worked(sqlite_world)
    assert office.post(f"/jobs/{job['id']}/cancel").status_code == 409


# --- fairness ------------------------------------------------------------------------------------------------------------


def test_ten_files_of_one_organisation_do_not_hold_up_another(world: World) -> None:
    """Whoever was served longest ago is next. A file that came last waits for one turn of the other organisation."""
    many = world.client(OFFICE)
    stuck = [sent(many, sheet(refusable(3)))["id"] for _ in range(service.MOST_OPEN)]
    refused = send(many, sheet(refusable(1)))
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:too-many-jobs")
    assert "or cancel one" in refused.json["detail"]
    turn(world)
    late = sent(world.client(OTHER), sheet(refusable(2)))["id"]
    turns = [turn(world) for _ in range(6)]
    assert turns[0] == turns[2] == turns[4] == late
    assert set(turns) - {late} < set(stuck)
    assert len(set(turns)) == 4  # the files of one organisation take turns as well
    done(many.post(f"/jobs/{stuck[0]}/cancel"))
    sent(many, sheet(refusable(1)))


@pytest.mark.parametrize(("waits_for", "tries", "careful"), [("", 0, False), ("service", 0, False), ("hsm", 0, True), ("", 2, True)])
def test_a_slow_hsm_is_asked_for_one_row_at_a_time(sqlite_world: World, waits_for: str, tries: int, careful: bool) -> None:
    """Fifty rows in one visit can take longer than a visit may, again and again: then no turn would settle any."""
    with sqlite_world.app.app_context():
        assert Taken(tools(sqlite_world), Job(waits_for=waits_for, tries=tries), 0.0).careful is careful
