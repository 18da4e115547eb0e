"""Batches and results of many rows are taken in by the worker: as a whole or in parts, each row once, whatever breaks off."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hsm import HSM
from sifilma.documents.tables.writing import write_csv, write_xlsx
from sifilma.fsck.run import examine
from sifilma.personalisation.batch import BATCH
from sifilma.personalisation.results import RESULTS
from tests.activation.bulk.sheets import worked
from tests.documents.files import table_lines
from tests.fsck.conftest import installation
from tests.support.visitor import Visitor
from tests.support.world import World, done, letter, new_uid

MAKER, BUYER, MODEL = "softorb.kepala", "mandiri.kepala", "SOFTORB-CRD-1"
COLUMNS = ("hardware_number", "model", "pcid", "sam_uid")
ROWS, AT_ONCE = 23, 5


@pytest.fixture
def world(database_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation in which five rows are many."""
    with closing(World(database_url, tmp_path / "home", signing_token, root_token, rows_at_once=AT_ONCE)) as made:
        yield made


def rows_for(world: World, count: int = ROWS) -> list[list[str]]:
    numbers = world.units(BUYER, count, MODEL, "R", pcid=False)
    return [[number, MODEL, secrets.token_hex(16).upper(), new_uid()] for number in numbers]


def draft(world: World, rows: Sequence[Sequence[str]], kind: str = "csv", request: str = "", stated: Any = None) -> Any:
    """Send a batch in a new draft, or in an existing one."""
    write = write_csv if kind == "csv" else write_xlsx
    stated = stated or world.letter() | {
        "function": "R",
        "on_behalf_of": str(world.organisation_of(BUYER)),
        "purchase_order_number": "PO-1",
    }
    files: dict[str, Any] = {"letter": letter(), "purchase_order": letter(), "batch": (f"batch.{kind}", write(COLUMNS, rows))}
    path, method = ("/personalisation-requests" + (f"/{request}" if request else ""), "PUT" if request else "POST")
    return world.client(MAKER).send(path, stated, method=method, **files)


def submit(world: World, request: str) -> Any:
    return world.client(MAKER).post(f"/personalisation-requests/{request}/submit")


def kept(world: World) -> int:
    return int(world.sql("SELECT COUNT(*) FROM batch_row")[0][0])


def sound(world: World) -> None:
    assert [str(finding) for finding in examine(installation(world)).findings] == []


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_batch_of_many_rows_is_taken_in_and_can_be_submitted_then(world: World, kind: str) -> None:
    rows = rows_for(world)
    made = done(draft(world, rows, kind), 201)
    assert (made["quantity"], made["batch"], bool(made["batch_job"])) == (ROWS, [], True)
    refused = submit(world, made["id"])
    assert (refused.status_code, refused.json["type"].rpartition(":")[2]) == (409, "batch-not-read")
    page = Visitor(world, MAKER)
    page.get(f"/personalisasi/{made['id']}")
    assert f"0 dari {ROWS} baris" in page.seen
    assert worked(world) == ROWS
    shown = done(world.client(MAKER).get(f"/jobs/{made['batch_job']}"))
    assert (shown["kind"], shown["state"], shown["done"], shown["failed"]) == ("intake", "completed", ROWS, 0)
    batch = done(world.client(MAKER).get(f"/personalisation-requests/{made['id']}"))["batch"]
    assert [[row["hardware_number"], MODEL, row["pcid"], row["sam_uid"]] for row in batch] == rows
    done(submit(world, made["id"]))
    world.approve("personalisation-requests", made["id"], "penyetuju1")
    assert sorted(uid for (uid,) in world.sql("SELECT uid FROM card")) == sorted(row[3] for row in rows)
    assert {pcid for (pcid,) in world.sql("SELECT pcid FROM unit WHERE pcid IS NOT NULL")} == {row[2] for row in rows}
    sound(world)


def test_a_batch_with_errors_comes_back_whole_and_its_correction_is_taken_in(world: World) -> None:
    rows = rows_for(world)
    wrong = [list(row) for row in rows]
    wrong[3][0], wrong[12][2], wrong[20][3] = "TIADA", wrong[1][2], "XYZ"
    made = done(draft(world, wrong), 201)
    worked(world)
    visitor = Visitor(world, MAKER)
    given = table_lines(visitor.get(f"/pekerjaan/{made['batch_job']}/perbaikan.xlsx").get_data(), BATCH)
    assert [row["hardware_number"] for row in given] == [row[0] for row in wrong]
    assert [number for number, row in enumerate(given) if row["error"]] == [3, 12, 20]
    assert "baris 3" in given[12]["error"]  # the first one of this PCID, of an earlier set
    assert kept(world) == 0
    assert submit(world, made["id"]).json["type"].endswith("batch-refused")
    visitor.get(f"/personalisasi/{made['id']}")
    assert "3 baris batch ditolak" in visitor.seen
    sound(world)
    stated = {name: made[name] for name in ("letter_number", "letter_date", "subject", "function", "purchase_order_number")}
    stated |= {"on_behalf_of": str(world.organisation_of(BUYER))}
    again = done(draft(world, rows, request=made["id"], stated=stated))
    assert again["batch_job"] != made["batch_job"]
    worked(world)
    assert kept(world) == ROWS
    same = done(draft(world, rows, request=made["id"], stated=stated))
    assert (same["batch_job"], worked(world), kept(world)) == (again["batch_job"], 0, ROWS)
    done(submit(world, made["id"]))
    sound(world)


def test_a_batch_whose_intake_was_cancelled_is_to_be_sent_again(sqlite_world: World) -> None:
    world = sqlite_world
    world.configure(rows_at_once=AT_ONCE)
    made = done(draft(world, rows_for(world)), 201)
    done(world.client(MAKER).post(f"/jobs/{made['batch_job']}/cancel"))
    refused = submit(world, made["id"])
    assert (refused.status_code, refused.json["type"].rpartition(":")[2]) == (409, "batch-not-read")
    assert refused.json["detail"] == "The batch was not read to its end. Send it again."


def test_what_is_cancelled_or_replaced_takes_in_no_further_row(world: World) -> None:
    rows = rows_for(world)
    made = done(draft(world, rows), 201)
    stated = {name: made[name] for name in ("letter_number", "letter_date", "subject", "function", "purchase_order_number")}
    stated |= {"on_behalf_of": str(world.organisation_of(BUYER))}
    few = done(draft(world, rows[:2], request=made["id"], stated=stated))
    assert (few["quantity"], few["batch_job"], worked(world), kept(world)) == (2, None, 0, 2)
    other = done(draft(world, rows, request=made["id"], stated=stated))
    done(world.client(MAKER).post(f"/personalisation-requests/{made['id']}/cancel"))
    assert (worked(world), kept(world)) == (0, 0)
    assert [state for (state,) in world.sql("SELECT state FROM job ORDER BY id")] == ["cancelled", "cancelled"]
    assert other["batch_job"]
    sound(world)


def test_results_of_many_rows_are_recorded_and_those_refused_come_back_alone(world: World) -> None:
    request = world.submitted("magetan.kepala", "R", ROWS)["id"]
    world.approve("personalisation-requests", request, "penyetuju1")
    rows = [[new_uid(), "personalised", ""] for _ in range(ROWS + 1)]
    rows[4][1], rows[9][2] = "failed", "000000"
    operator = world.client("operator1")

    def send() -> Any:
        data = write_csv(("sam_uid", "outcome", "kcv"), rows)
        return operator.call("POST", f"/personalisation-requests/{request}/results", data=data, content_type="text/csv")

    job = done(send(), 202)
    assert done(send(), 202)["id"] == job["id"]
    worked(world)
    shown = done(operator.get(f"/jobs/{job['id']}"))
    assert (shown["state"], shown["done"], shown["failed"]) == ("completed", ROWS + 1, 1)
    [back] = table_lines(Visitor(world, "operator1").get(f"/pekerjaan/{job['id']}/perbaikan.csv").get_data(), RESULTS)
    assert (back["sam_uid"], bool(back["error"])) == (rows[9][0], True)
    counted = world.sql("SELECT outcome, COUNT(*) FROM personalisation_result GROUP BY outcome ORDER BY outcome")
    assert counted == [("failed", 1), ("personalised", ROWS - 1)]
    again = done(send(), 202)
    worked(world)
    assert done(operator.get(f"/jobs/{again['id']}"))["failed"] == ROWS + 1
    assert world.sql("SELECT COUNT(*) FROM personalisation_result")[0][0] == ROWS
    sound(world)
