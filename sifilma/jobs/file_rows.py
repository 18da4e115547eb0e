"""Jobs about the rows of a stored file, which wait in parts: a set of rows is done at a time, and no more of them is held.

`done` says how far the job is, since rows are settled in the order of the file. It moves on in the transaction of their act: broken off
anywhere, the work goes on behind the last set that was committed, and no row is done twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from sifilma.dispatch.turns import Lost
from sifilma.documents.service import get_document
from sifilma.documents.tables import sheets
from sifilma.documents.tables.columns import Format
from sifilma.documents.tables.sheets import Measured, RowError, Sheet
from sifilma.documents.tables.templates import Filled, Say
from sifilma.jobs import service, worker
from sifilma.jobs.failed_rows import ERROR, broke_off, refusal_for, told_of
from sifilma.jobs.models import Job, JobPart
from sifilma.jobs.service import NewJob
from sifilma.jobs.worker import Settled, Taken
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.many.copying import insert_all, table_of

TURN = 5.0
"""Seconds of a turn."""
CAREFUL = 100
"""Rows that are tried one by one in a turn after one that failed."""
SHOWN = 2000
"""Rows that are read at a time where the file is given back."""


class Act(Protocol):
    """What is done with rows, on behalf of whoever began the job."""

    def prepare(self, ctx: Context, part: Sheet) -> Any:
        """Return what has to be known before the transaction, such as what the HSM says. It may end the reading."""
        ...

    def settle(self, ctx: Context, part: Sheet, prepared: Any) -> Iterable[RowError]:
        """Do what the rows ask for, in the transaction of the Context. Return what is wrong with those that are refused.

        Raise Invalid with the errors of rows, before anything is written, if all or none are done: it is called again without those rows.
        """
        ...


def begin(ctx: Context, new: NewJob, table: Measured) -> Job:
    """Queue a job for the rows of a table. Raise Conflict (`too-many-jobs`) as `service.begin` does."""
    job = service.begin(ctx, new)
    insert_all(
        ctx.session, table_of(JobPart), [{"job_id": job.id, "start": p.start, "count": p.count, "data": p.data} for p in table.parts]
    )
    return job


def work_through(taken: Taken, form: Format, act: Act) -> bool:
    """Settle rows until the turn is over, a part at a time, at least one set. Return whether all have a result."""
    until = time.monotonic() + TURN
    while (part := _next(taken, form)) is not None:
        if not taken.careful:
            _do(taken, part, act, until)
        for row in part.rows[:CAREFUL] if taken.careful else ():
            _alone(taken, _of_rows(part, [row.number]), act)
            if time.monotonic() >= until:
                break
        if taken.careful or time.monotonic() >= until:
            return False
    return True


def _next(taken: Taken, form: Format) -> Sheet | None:
    """Return the rows of the first part that have no result yet, None if all have one. Raise Lost if the job had another turn."""
    with taken.tools.open() as ctx:
        ctx.uow.begin_read()
        mine = select(Job.done).where(*worker.mine(taken))
        done = ctx.session.scalar(mine)
        if done is None:
            raise Lost
        query = select(JobPart.start, JobPart.data).where(JobPart.job_id == taken.job.id, JobPart.start + JobPart.count > done)
        found = ctx.session.execute(query.order_by(JobPart.start).limit(1)).first()
    if found is None:
        return None
    part = sheets.unpacked(found.data, form)
    return _of_rows(part, [row.number for row in part.rows[done - found.start :]])


def data_of(ctx: Context, store: FileStore, job: Job) -> bytes:
    """Return the file of a job. Raise NotFound if it has none."""
    if job.document_id is None:
        raise NotFound()
    return store.get(ctx.session, get_document(ctx, job.document_id).sha256)


def _do(taken: Taken, part: Sheet, act: Act, until: float) -> None:
    """Settle rows in one transaction. If that fails, halve them until what fails stands alone, and settle it with its fault."""
    fault = worker.own_fault(partial(_together, taken, part, act))
    if fault is None:
        return
    numbers = [row.number for row in part.rows]
    if len(numbers) == 1:
        _give_up(taken, numbers[0], fault)
        return
    half = len(numbers) // 2
    _do(taken, _of_rows(part, numbers[:half]), act, until)
    if time.monotonic() < until:  # else the rest is the next turn's
        _do(taken, _of_rows(part, numbers[half:]), act, until)


def _together(taken: Taken, part: Sheet, act: Act) -> None:
    with taken.tools.open() as system:
        system.uow.begin_read()
        ctx = worker.on_behalf(system, taken)
        prepared = act.prepare(ctx, part)
        ctx.uow.begin_write()
        # First the turn: its row is locked until the commit, so whoever cancels the job waits, and finds all of the set or nothing.
        worker.advance(ctx, taken, len(part.rows), 0)
        errors = _settled(ctx, part, act, prepared)
        if errors:
            failed = by_row(errors)
            worker.advance(ctx, taken, 0, len(failed))
            worker.keep(ctx, taken.job, failed)
        _leave(ctx, taken)


def _leave(ctx: Context, taken: Taken) -> None:
    """Delete the parts whose rows all have a result."""
    done = select(Job.done).where(Job.id == taken.job.id).scalar_subquery()
    gone = delete(JobPart).where(JobPart.job_id == taken.job.id, JobPart.start + JobPart.count <= done)
    ctx.session.execute(gone.execution_options(synchronize_session=False))


def _settled(ctx: Context, part: Sheet, act: Act, prepared: Any) -> list[RowError]:
    """Let the act settle rows, and return all errors. One that does all or none is given those that have no error."""
    try:
        return list(act.settle(ctx, part, prepared))
    except Invalid as refused:
        if not refused.errors or any("row" not in one for one in refused.errors):
            raise
        errors = [RowError(int(one["row"]), str(one["field"]), one["message"]) for one in refused.errors]
        wrong = {error.row for error in errors}
        rest = [row.number for row in part.rows if row.number not in wrong]
        return errors + (_settled(ctx, _of_rows(part, rest), act, prepared) if rest else [])


def _of_rows(part: Sheet, numbers: Sequence[int]) -> Sheet:
    """Return these rows of a sheet, with their faults."""
    those = set(numbers)
    rows = [row for row in part.rows if row.number in those]
    return replace(part, rows=rows, faults=[fault for fault in part.faults if fault.row in those])


def _alone(taken: Taken, part: Sheet, act: Act) -> None:
    """Try a row alone after a turn that failed. If workers ended at it again and again, it fails without being tried."""
    (row,) = part.rows
    if worker.try_alone(taken, row.number):
        _do(taken, part, act, 0)
    else:
        _give_up(taken, row.number, broke_off(worker.ROW_TRIES))


def _give_up(taken: Taken, number: int, fault: Exception) -> None:
    told = refusal_for(fault, taken.job.id, number)
    words = str(getattr(told, "detail", "") or getattr(told, "title", "") or told)
    with taken.tools.open() as ctx:
        worker.advance(ctx, taken, 1, 1)
        worker.keep(ctx, taken.job, [Settled(number, errors=[worker.error("", words)])])
        _leave(ctx, taken)


def by_row(errors: Iterable[RowError]) -> list[Settled]:
    """Return the results of rows that have errors. Their cells stand in the file."""
    rows: dict[int, list[RowError]] = {}
    for error in errors:
        rows.setdefault(error.row, []).append(error)
    return [Settled(n, errors=[worker.error(one.column, one.message) for one in found]) for n, found in sorted(rows.items())]


# --- what is given back ------------------------------------------------------------------------------------------------


def given_back(ctx: Context, store: FileStore, job: Job, form: Format, say: Say | None, *, whole: bool) -> Filled:
    """Return the file with a column for the errors: all its rows (`whole`), or those that failed or have no result.

    Its rows are read as they are written. Without `say` errors name columns as the API does.
    """
    data = data_of(ctx, store, job)
    empty = Filled(form, (), [name for name in job.columns if name in form.names], noted=True)
    return replace(empty, rows=_rows(ctx, data, job, empty, say, whole=whole))


def _rows(ctx: Context, data: bytes, job: Job, empty: Filled, say: Say | None, *, whole: bool) -> Iterator[Mapping[str, str]]:
    number, place = 1, 0
    with closing(sheets.parts(data, empty.form, SHOWN)) as parts:
        for part in parts:
            failed = {row.number: row for row in service.failed_rows(ctx, job, after=part.rows[0].number - 1, to=part.rows[-1].number)}
            for row in part.rows:
                place += 1
                if not (whole or row.number in failed or place > job.done):
                    continue
                number += 1
                told = told_of(failed[row.number], empty, number, say) if row.number in failed else ""
                yield row.cells | {ERROR: told}
            _forget(ctx.session, failed.values())


def _forget(session: Session, rows: Iterable[object]) -> None:
    for row in rows:
        session.expunge(row)
