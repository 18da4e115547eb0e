"""Activation by file: each row runs once, errors name the file's own rows, no secret is left, and organisations stay apart."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from functools import partial
from threading import Barrier, BrokenBarrierError
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from sifilma.activation.schemas import TypedActivationIn
from sifilma.activation.tokens import service as tokens
from sifilma.documents.tables.writing import write_xlsx
from sifilma.fsck.run import examine
from sifilma.identity.models import ApiKey
from sifilma.jobs import worker
from sifilma.jobs.worker import Taken
from sifilma.kernel.text import Wrong, packed, say, unpacked
from tests.activation.bulk.sheets import HEADER, rows_of, send, sent, sheet, tools, worked
from tests.documents.files import table_lines
from tests.fsck.conftest import installation
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.softhsm import SoftHSM
from tests.support.world import World, done

OFFICE, MAGETAN = "magetan.kepala", "Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan"


def test_every_row_becomes_an_activation_and_the_file_is_deleted(world: World) -> None:
    ready = world.ready(OFFICE, "R", 3)
    office = world.client(OFFICE)
    job = sent(office, sheet(rows_of(ready)))
    assert (job["kind"], job["state"], job["done"], job["total"]) == ("activation", "queued", 0, 3)
    assert worked(world) == 3
    job = done(office.get(f"/jobs/{job['id']}"))
    assert (job["state"], job["done"], job["failed"], job["errors_url"]) == ("completed", 3, 0, None)
    assert world.sql("SELECT COUNT(*), SUM(length(sealed)) FROM job")[0] == (1, 0)
    assert {state for (state,) in world.sql("SELECT state FROM card")} == {"active"}
    result = office.open("GET", job["result_url"], headers=office.headers)
    lines = table_lines(result.get_data())
    assert [(line["row"], line["sam_uid"], line["outcome"]) for line in lines] == [
        (str(number), uid, "activated") for number, uid in enumerate(ready.uids, start=2)
    ]
    assert [str(finding) for finding in examine(installation(world)).findings] == []


def test_rows_with_errors_are_returned_with_their_row_numbers_for_correction(world: World) -> None:
    ready = world.ready(OFFICE, "R", 4)
    office = world.client(OFFICE)
    rows = rows_of(ready)
    rows[1][HEADER.index("region_code")] = "51.06.02.1004"  # a distant place without a reason
    rows[2][HEADER.index("token")] = "x" * 10
    rows[3][HEADER.index("latitude")] = "tujuh"
    blank: list[object] = [""] * len(HEADER)
    job = sent(office, write_xlsx(HEADER, [rows[0], blank, *rows[1:]]), "aktivasi.xlsx")
    worked(world)
    job = done(office.get(f"/jobs/{job['id']}"))
    assert (job["state"], job["done"], job["failed"], job["total"]) == ("completed", 4, 3, 4)
    errors = done(office.open("GET", job["errors_url"], headers=office.headers))["items"]
    assert [(error["row"], error["field"]) for error in errors] == [(4, "reason"), (5, "token"), (6, "latitude")]
    assert "4 tries are left" in errors[1]["message"]
    assert world.sql("SELECT SUM(tries) FROM token")[0][0] == 1
    again = office.open("GET", job["links"]["corrected"], headers=office.headers, query_string={"kind": "xlsx"})
    header = (*HEADER, "error")
    kept = table_lines(again.get_data())
    assert [row["sam_uid"] for row in kept] == ready.uids[1:]
    assert [row["token"] for row in kept] == ["", "", ""]
    assert kept[0]["error"].startswith("reason: ")
    for row, uid in zip(kept, ready.uids[1:], strict=True):
        row |= {"token": ready.tokens[uid], "reason": "dipinjamkan", "latitude": "-7,6536"}
    job = sent(office, sheet([list(row.values()) for row in kept], header))  # the column of errors is ignored
    worked(world)
    assert done(office.get(f"/jobs/{job['id']}"))["failed"] == 0
    assert world.sql("SELECT COUNT(*) FROM manifest")[0][0] == 4
    assert [str(finding) for finding in examine(installation(world)).findings] == []


def test_a_file_that_is_not_a_table_of_activations_is_refused_at_once(sqlite_world: World) -> None:
    office = sqlite_world.client(OFFICE)
    for data, words in ((b"nama,umur\nA,1\n", "Columns are missing: UID of the SAM card,"), (b"", "empty"), (sheet([]), "no rows")):
        refused = send(office, data)
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "file")
        assert words in refused.json["errors"][0]["message"]
    assert send(sqlite_world.client("softorb.kepala"), sheet([])).status_code == 403
    assert send(sqlite_world.client(OFFICE, fresh=False), sheet([])).json["type"].endswith("step-up-required")


def test_repeated_cards_and_machines_are_decided_row_by_row(world: World) -> None:
    ready = world.ready(OFFICE, "R", 3)
    rows = rows_of(ready)
    rows[2][HEADER.index("hardware_number")] = rows[0][HEADER.index("hardware_number")]
    office = world.client(OFFICE)
    job = sent(office, sheet([rows[0], rows[0], rows[1], rows[2]]))
    worked(world)
    shown = done(office.get(f"/jobs/{job['id']}"))
    assert (shown["done"], shown["failed"]) == (4, 2)
    errors = done(office.get(f"/jobs/{job['id']}/errors"))["items"]
    assert [error["row"] for error in errors] == [3, 5]
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 2
    assert [str(finding) for finding in examine(installation(world)).findings] == []


def test_of_many_wrong_tokens_for_one_card_in_a_file_five_are_compared(world: World) -> None:
    ready = world.ready(OFFICE, "R")
    [row] = rows_of(ready)
    rows = [[*row] for _ in range(8)]
    for number, guess in enumerate(rows[:-1]):
        guess[HEADER.index("token")] = f"x{number}" + "x" * 8
    office = world.client(OFFICE)
    job = sent(office, sheet(rows))
    worked(world)
    assert done(office.get(f"/jobs/{job['id']}"))["failed"] == 8  # the eighth row has the right token, which is cancelled by then
    assert world.sql("SELECT count(*) FROM audit_entry WHERE action = 'token.refused'") == [(5,)]
    assert world.sql("SELECT tries, state FROM token") == [(5, "cancelled")]


def test_a_job_stops_when_its_user_is_disabled(world: World) -> None:
    ready = world.ready(OFFICE, "R", 2)
    office = world.client(OFFICE)
    job = sent(office, sheet(rows_of(ready)))
    world.change_account(OFFICE, state="disabled")
    assert worked(world) == 0
    assert world.sql("SELECT state, done, length(sealed) FROM job")[0] == ("stopped", 0, 0)
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 0
    assert job["state"] == "queued"


def test_an_api_key_sends_files_until_it_is_revoked(world: World) -> None:
    ready = world.ready(OFFICE, "R", 2)
    machine = world.machine(MAGETAN)
    job = sent(machine, sheet(rows_of(ready)[:1]))
    worked(world)
    assert done(machine.get(f"/jobs/{job['id']}"))["state"] == "completed"
    job = sent(machine, sheet(rows_of(ready)[1:]))
    world.change(ApiKey, revoked_at=world.clock.now())
    worked(world)
    assert done(world.client(OFFICE).get(f"/jobs/{job['id']}"))["state"] == "stopped"


def test_other_organisations_cannot_see_a_job(world: World) -> None:
    ready = world.ready(OFFICE, "R", 1)
    job = sent(world.client(OFFICE), sheet(rows_of(ready)))
    for path in ("", "/errors", "/corrected", "/result"):
        assert world.client("bangli.kepala").get(f"/jobs/{job['id']}{path}").status_code == 404
        assert world.client("auditor1").get(f"/jobs/{job['id']}{path}").status_code == 403
    assert done(world.client("bangli.kepala").get("/jobs"))["items"] == []
    for who in (OFFICE, "operator1"):
        assert [one["id"] for one in done(world.client(who).get("/jobs"))["items"]] == [job["id"]]


def test_a_worker_that_lost_its_job_saves_nothing(world: World) -> None:
    """Another worker has taken the job: the work of the first is rolled back with its rows."""
    ready = world.ready(OFFICE, "R", 2)
    sent(world.client(OFFICE), sheet(rows_of(ready)))
    with world.app.app_context():
        mine = tools(world)
        job = worker._take(mine)
        assert job is not None
        assert worker._take(tools(world, "another")) is not None  # the first one was taken for dead
        assert worker._serve(Taken(mine, job, time.monotonic() + 5)) == 0
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 0
    assert world.sql("SELECT state, done, taken_by FROM job")[0] == ("running", 0, "another")
    assert worked(world, name="another") == 2
    assert world.sql("SELECT state FROM job")[0][0] == "completed"


def test_a_job_waits_while_the_hsm_is_away_and_then_continues(sqlite_world: World, softhsm: SoftHSM) -> None:
    world = sqlite_world
    ready, office = world.ready(OFFICE, "R", 2), world.client(OFFICE)
    job = sent(office, sheet(rows_of(ready)))
    with softhsm.away():
        assert worked(world) == 0
        shown = done(office.get(f"/jobs/{job['id']}"))
        assert (shown["state"], shown["done"], shown["waits_for"]) == ("running", 0, "hsm")
    world.clock.advance(seconds=worker.AGAIN.seconds + 1)
    until = time.monotonic() + 20
    while worked(world) == 0 and time.monotonic() < until:
        world.clock.advance(seconds=worker.AGAIN.seconds + 1)
        time.sleep(0.3)
    shown = done(office.get(f"/jobs/{job['id']}"))
    assert (shown["state"], shown["done"], shown["failed"], shown["waits_for"]) == ("completed", 2, 0, None)
    assert world.sql("SELECT SUM(tries) FROM token")[0][0] == 0


def test_an_error_is_stored_so_that_every_language_can_show_it() -> None:
    told = say("%(left)s tries are left.", left=3)
    whole = say("The token is not this card's. %(hint)s", hint=told)
    again = unpacked(json.loads(json.dumps(packed(whole))))
    assert (str(again), again.template, str(again.values["hint"])) == (str(whole), whole.template, str(told))  # type: ignore[attr-defined]  # a Text
    with pytest.raises(ValidationError) as refused:
        TypedActivationIn.model_validate({"sam_uid": "x", "latitude": "tujuh"})
    for found in refused.value.errors(include_url=False):
        fault = Wrong(found)
        assert str(unpacked(json.loads(json.dumps(packed(fault))))) == str(fault)


def test_two_files_with_each_others_wrong_tokens_do_not_lock_each_other(postgresql_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each redeems a token at which the other one then counts a wrong try."""
    world = postgresql_world
    [one], [other] = (rows_of(world.ready(OFFICE, "R")) for _ in range(2))
    wrong = HEADER.index("token")
    files = [[good, [*bad[:wrong], "AAAAAAAAAA", *bad[wrong + 1 :]]] for good, bad in ((one, other), (other, one))]
    jobs = [sent(world.client(OFFICE), sheet(rows))["id"] for rows in files]
    both, count = Barrier(2), tokens.count_wrong_try

    def meet(*given: Any) -> int:
        with suppress(BrokenBarrierError):  # one of them waits for the other one's requests
            both.wait(0.7)
        return count(*given)

    def turn(job: str) -> int:
        with world.app.app_context():
            # Long: the rows wait for each other, and a turn whose time is over is not the last one.
            return worker.turn(tools(world, job), UUID(job), seconds=20).settled

    monkeypatch.setattr(tokens, "count_wrong_try", meet)
    assert run_simultaneously([partial(turn, job) for job in jobs]) == [2, 2]
    assert world.sql("SELECT state, done, failed FROM job") == [("completed", 2, 1)] * 2
    assert world.sql("SELECT count(*) FROM activation") == [(2,)]
    assert [str(finding) for finding in examine(installation(world)).findings] == []
