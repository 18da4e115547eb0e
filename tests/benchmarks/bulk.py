"""Compares activation by file with its bare parts: the calls to the HSM, the verification of what it signs, and a COPY of the same rows.

All figures are CPU of this process and of its connection to PostgreSQL: on a machine without other work that is the time it takes.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from hsm.token import Operations
from sifilma.activation.bulk.rules import check_all
from sifilma.activation.issuing import service as issuing
from sifilma.activation.issuing.service import Ready, Signed
from sifilma.activation.issuing.statements import write
from sifilma.activation.schemas import ActivationIn
from sifilma.activation.tokens import service as tokens
from sifilma.jobs import worker
from sifilma.kernel.context import Context
from sifilma.kernel.lifecycle import History
from sifilma.kernel.many.copying import insert_all, table_of
from sifilma.kernel.many.parallel import PART
from sifilma.regions.sources import place_check
from tests.activation.bulk.sheets import rows_of, sent, sheet, tools
from tests.benchmarks.table import Line
from tests.support.world import Ready as Cards
from tests.support.world import World, done

OFFICE = "magetan.kepala"
SET, ROUNDS = 500, 5
FILES = 6
GUARDED = ("audit_entry", "activation_request", "token", "activation", "manifest", "card", "history")


def run(world: World) -> list[Line]:
    """Measure storing a set, and the whole of a file, each beside its bare parts."""
    ready = world.ready(OFFICE, "R", SET)
    with world.app.app_context():
        stored, copied, hsm = _parts(world, ready)
    whole = _file(world)
    bare = hsm + copied
    rows = f"of {SET} rows"
    return [
        Line("activation by file: CPU of a card", whole * 1e6, "µs"),
        Line("HSM calls and verification of a card", hsm * 1e6, "µs"),
        Line(f"storing a card in a set {rows}", stored * 1e6, "µs"),
        Line(f"COPY and UPDATE {rows}, a card", copied * 1e6, "µs", against="the same rows, foreign keys on, triggers off"),
        Line("storing a set : COPY of the same rows", stored / copied, "×", 1.6),
        Line("activation by file : its bare parts", whole / bare, "×", 2.5, against="HSM calls, verification and that COPY"),
        Line("activations by file for each second of CPU", 1 / whole, ""),
    ]


# --- one set, stored and rolled back -----------------------------------------------------------------------------------


def _parts(world: World, ready: Cards) -> tuple[float, float, float]:
    """Return the CPU seconds of a card: stored with every guard, copied without, and signed in the HSM."""
    with world.acting(OFFICE) as ctx:
        given = [ActivationIn.model_validate(world.activation(ready, uid)) for uid in ready.uids]
        checked = [
            one for one in check_all(ctx, world.hsm, place_check(world.settings.home), given, lambda: True) if isinstance(one, Ready)
        ]
        assert len(checked) == SET
        signed = issuing.sign(ctx, world.settings, world.hsm, checked)
        pairs = [(one, its) for one, its in zip(checked, signed, strict=True) if its is not None]
        steps = [step for one, its in pairs for step in issuing.steps_of(ctx, one, its, UUID(its.manifest.jti))]
        _analyse(ctx)
        history: list[dict[str, Any]] = []
        stored, copied, called = list[float](), list[float](), list[float]()
        for _ in range(ROUNDS):
            stored.append(_stored(ctx, pairs, history))
            copied.append(_copied(ctx, steps, history))
            called.append(_called(world, checked))
    return min(stored) / SET, min(copied) / SET, min(called) / SET


def _analyse(ctx: Context) -> None:
    ctx.uow.begin_write()
    ctx.session.execute(text("ANALYZE"))
    ctx.session.commit()


def _stored(ctx: Context, pairs: Sequence[tuple[Ready, Signed]], history: list[dict[str, Any]]) -> float:
    """Store a set as the job does, and take it back. Keep the rows that triggers wrote besides."""
    ctx.uow.begin_write()
    last = ctx.session.scalar(text("SELECT coalesce(max(id), 0) FROM history"))

    def act() -> None:
        issuing.issue(ctx, pairs)
        ctx.session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))

    took = _cpu(ctx.session.connection(), act)
    found = ctx.session.execute(History.__table__.select().where(History.id > last)).mappings()
    history[:] = [{name: value for name, value in row.items() if name != "id"} for row in found]
    ctx.session.rollback()
    return took


def _copied(ctx: Context, steps: Sequence[Any], history: Sequence[dict[str, Any]]) -> float:
    """Write the same rows without any trigger of ours, those of the history too, and take them back."""
    ctx.uow.begin_write()
    for table in GUARDED:
        ctx.session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    acts = {values["id"] for _, values in steps if "salt" in values}
    rows = _named_as(history, acts)

    def act() -> None:
        write(ctx.session, steps, SET)
        insert_all(ctx.session, table_of(History), rows)
        ctx.session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))

    took = _cpu(ctx.session.connection(), act)
    ctx.session.rollback()
    return took


def _named_as(history: Sequence[dict[str, Any]], acts: set[Any]) -> list[dict[str, Any]]:
    """Return rows of the history that name one of these acts each, as many as there are."""
    names = list(acts)
    return [row | {"act_id": names[number % len(names)]} for number, row in enumerate(history)]


def _cpu(connection: Connection, act: Callable[[], None]) -> float:
    pid = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]  # psycopg's
    before, here = _ran(pid), time.process_time()
    act()
    return _ran(pid) - before + time.process_time() - here


def _ran(pid: int) -> float:
    """Return the seconds that a process without threads has run, to the nanosecond: the ticks of `stat` are as long as a tenth of a set."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _called(world: World, ready: Sequence[Ready]) -> float:
    """Make the calls of a set in the HSM, and verify the signatures: nothing else."""
    label = world.hsm.current("manifest-sign")
    digest = bytes(32)

    def calls(do: Operations, some: Sequence[Ready]) -> None:
        for one in some:
            row = one.row
            tokens.matches(do, row.request_id, row.uid, one.data.token, row.mac)
            do.derive_open_key(row.key_version, bytes.fromhex(row.uid))
            do.sign(label, digest)

    before = time.process_time()
    for start in range(0, len(ready), PART):
        world.hsm.run(lambda do, some=ready[start : start + PART]: calls(do, some))  # type: ignore[misc]  # the default binds it
    return time.process_time() - before


# --- a whole file ------------------------------------------------------------------------------------------------------


def _file(world: World) -> float:
    """Return the CPU seconds of a card in a file, from its row to its result. The first file warms up."""
    took = list[float]()
    for _ in range(1 + FILES):
        cards = world.ready(OFFICE, "R", SET)
        job = sent(world.client(OFFICE), sheet(rows_of(cards)))
        with world.app.app_context(), world.context() as ctx:
            _analyse(ctx)  # autovacuum, which does it elsewhere, is off
            gc.collect()
            gc.freeze()  # as a worker does
            before, here = _all_backends(ctx.session), time.process_time()
            while worker.work(tools(world), 60):
                pass
            took.append((_all_backends(ctx.session) - before + time.process_time() - here) / SET)
        shown = done(world.client(OFFICE).get(f"/jobs/{job['id']}"))
        assert (shown["done"], shown["failed"]) == (SET, 0), shown
    return min(took[1:])


def _all_backends(session: Session) -> float:
    """Return the CPU seconds of this installation's connections, which the pool keeps open."""
    found = session.scalars(text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"))
    return sum(_ran(pid) for pid in found)
