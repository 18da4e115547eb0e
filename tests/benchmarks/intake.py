"""Compares the intake of a batch of 100,000 rows, from the upload to the last row, with a COPY of the same rows: CSV and XLSX.

All figures are CPU of this process, of the children that read the file and of the connections to PostgreSQL. The child works beside its
parent, so on a machine without other work the time is somewhat shorter.
"""

from __future__ import annotations

import resource
import secrets
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from sifilma.cards.schemas import UnitIn
from sifilma.cards.service import register_units
from sifilma.documents.tables.writing import write_csv, write_xlsx
from sifilma.jobs import worker
from sifilma.kernel.many.copying import insert_all, table_of
from sifilma.personalisation.models import BatchRow
from tests.activation.bulk.sheets import tools
from tests.benchmarks.bulk import _all_backends, _cpu
from tests.benchmarks.table import Line
from tests.support.world import World, done, letter

ROWS, REGISTERED_AT_ONCE = 100_000, 5_000
MAKER, BUYER, MODEL = "softorb.kepala", "mandiri.kepala", "SOFTORB-CRD-1"
COLUMNS = ("hardware_number", "model", "pcid", "sam_uid", "sam_perso")
BAR = 4.0
WRITERS: dict[str, Callable[..., bytes]] = {"csv": write_csv, "xlsx": write_xlsx}


def run(world: World) -> list[Line]:
    """Take in a batch in each format, and measure a COPY of its rows in the same run."""
    rows = batch(world, ROWS)
    lines = list[Line]()
    for kind, write in WRITERS.items():
        whole, seconds = _taken_in(world, kind, write(COLUMNS, rows))
        copied = _copied(world)
        lines += [
            Line(f"batch of {ROWS} rows, {kind.upper()}: CPU", whole, "s", against=f"{seconds:.1f} s by the clock"),
            Line("COPY of its rows", copied, "s", against="constraints on, triggers off"),
            Line(f"intake of a batch, {kind.upper()} : COPY of its rows", whole / copied, "×", BAR),
        ]
    return lines


def batch(world: World, count: int) -> list[list[str]]:
    """Register units of the buyer, and return the rows of a batch for them."""
    numbers = [f"SB-{number:09d}" for number in range(count)]
    for start in range(0, count, REGISTERED_AT_ONCE):
        with world.acting(BUYER) as ctx:
            part = numbers[start : start + REGISTERED_AT_ONCE]
            register_units(ctx, [UnitIn.model_validate({"hardware_number": number, "model": MODEL, "function": "R"}) for number in part])
    return [[number, MODEL, secrets.token_hex(16).upper(), secrets.token_hex(8).upper(), "0123456789ABCDEF"] for number in numbers]


def sent(world: World, kind: str, data: bytes) -> Any:
    """Draft a request with this batch; return the answer's JSON."""
    stated = world.letter() | {"function": "R", "on_behalf_of": str(world.organisation_of(BUYER)), "purchase_order_number": "PO-1"}
    files: dict[str, Any] = {"letter": letter(), "purchase_order": letter(), "batch": (f"batch.{kind}", data)}
    return done(world.client(MAKER).send("/personalisation-requests", stated, **files), 201)


def _taken_in(world: World, kind: str, data: bytes) -> tuple[float, float]:
    """Return the seconds of CPU from the upload to the last row, and those by the clock."""
    with world.app.app_context(), world.context() as ctx:
        ctx.session.execute(text("ANALYZE"))
        ctx.session.commit()
        before, began = _ran(ctx.session), time.monotonic()
        made = sent(world, kind, data)
        while worker.work(tools(world), 60):
            pass
        took = _ran(ctx.session) - before, time.monotonic() - began
    shown = done(world.client(MAKER).get(f"/jobs/{made['batch_job']}"))
    assert (shown["state"], shown["done"], shown["failed"]) == ("completed", ROWS, 0), shown
    return took


def _ran(session: Any) -> float:
    session.commit()  # else the connections are those that it saw before
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return _all_backends(session) + time.process_time() + children.ru_utime + children.ru_stime


def _copied(world: World) -> float:
    """Write the rows of the newest batch once more without any trigger of ours, and take them back. Return the seconds of CPU."""
    with world.context() as ctx:
        newest = text("SELECT id FROM personalisation_request ORDER BY id DESC LIMIT 1")
        request = ctx.session.scalar(newest)
        table = table_of(BatchRow)
        rows = ctx.session.execute(table.select().where(table.c.personalisation_request_id == request)).mappings()
        values = [dict(row) for row in rows]
        ctx.session.execute(table.delete().where(table.c.personalisation_request_id == request))
        ctx.session.execute(text("ALTER TABLE batch_row DISABLE TRIGGER USER"))

        def act() -> None:
            insert_all(ctx.session, table, values)
            ctx.session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))

        took = _cpu(ctx.session.connection(), act)
        ctx.session.rollback()
    return took
