"""Keep a refused batch with its errors. The user downloads the sheet with a column of errors, corrects it, and sends it again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.documents.service import Upload, get_document, keep_table
from sifilma.documents.tables import sheets
from sifilma.documents.tables.templates import Filled, Say
from sifilma.identity.permissions import Operation
from sifilma.jobs import service, worker
from sifilma.jobs.failed_rows import ERROR, Sheet, told_of
from sifilma.jobs.models import JOB, Job, JobKind, JobState
from sifilma.jobs.service import NewJob
from sifilma.jobs.worker import Settled, Taken
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.personalisation.batch import BATCH


@dataclass
class Kept:
    """The job that holds a refused batch, None if no batch was kept, and the texts of its wrong cells by row and column."""

    job_id: UUID | None = None
    cells: dict[tuple[int, str], str] = field(default_factory=dict)


@contextmanager
def keeping(ctx: Context, settings: Settings, store: FileStore, batch: Upload | None) -> Iterator[Kept]:
    """Keep the batch if the block raises Invalid with errors of rows, in a transaction of its own. The Invalid is raised again."""
    kept = Kept()
    try:
        yield kept
    except Invalid as refused:
        errors = refused.errors
        if batch is not None and any("row" in error for error in errors):
            ctx.uow.rollback()  # `at_once` refuses to begin while changes of the refused act are pending
            ctx.uow.at_once(lambda: _keep(ctx, settings, store, batch, errors, kept))
        raise


def _keep(ctx: Context, settings: Settings, store: FileStore, batch: Upload, errors: list[dict[str, Any]], kept: Kept) -> None:
    """Store the batch as a completed job, since its rows are checked already, and tell `kept`. A file that cannot be read is not stored."""
    try:
        sheet = sheets.read(batch.data, BATCH, max_rows=settings.rows_at_once)
    except Invalid:
        return
    document = keep_table(ctx, store, batch, sheet.media_type)
    job = service.begin(ctx, NewJob(uuid7(), JobKind.BATCH, batch.filename, sheet.columns, len(sheet.rows), document_id=document.id))
    rows = _by_row(errors)
    for state, action in ((JobState.RUNNING, Action.JOB_RUN), (JobState.COMPLETED, Action.JOB_COMPLETE)):
        JOB.move(ctx.session, job, state, record(ctx, action, JOB.kind, job.id, kind=job.kind))
        ctx.session.flush()
    job.done, job.failed, job.ended_at = job.total, len(rows), ctx.now
    ctx.session.flush()
    worker.keep(ctx, job, rows)
    texts = {row.number: row.cells for row in sheet.rows}
    wrong = [(int(error["row"]), str(error["field"])) for error in errors if "row" in error]
    kept.cells = {(row, name): texts[row][name] for row, name in wrong if name in texts.get(row, {})}
    kept.job_id = job.id


def mended(ctx: Context, settings: Settings, store: FileStore, job_id: UUID, cells: Mapping[tuple[int, str], str]) -> Upload:
    """Return a refused batch with cells (by row and column) put right, as a CSV file. Cells that it does not have are passed over.

    Raise NotFound if it is none of the actor's organisation.
    """
    job = service.get_job(ctx, job_id)
    if job.kind != JobKind.BATCH or job.document_id is None or job.organisation_id != ctx.actor.organisation_id:
        raise NotFound()
    sheet = sheets.read(store.get(ctx.session, get_document(ctx, job.document_id).sha256), BATCH, max_rows=settings.rows_at_once)
    names = [name for name in sheet.columns if name in BATCH.names]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows([cells.get((row.number, name), row.cells[name]) for name in names] for row in sheet.rows)
    return Upload(f"{job.filename.rpartition('.')[0] or job.filename}.csv", out.getvalue().encode())


def _by_row(errors: list[dict[str, Any]]) -> list[Settled]:
    rows: dict[int, list[dict[str, Any]]] = {}
    for error in errors:
        rows.setdefault(int(error["row"]), []).append(worker.error(str(error["field"]), error["message"]))
    return [Settled(number, errors=found) for number, found in rows.items()]


class Batches:
    """The kind of job that holds refused batches. The worker has no rows to settle: a batch is checked within the request."""

    operation = Operation.PERSONALISATION_DRAFT

    def work(self, taken: Taken) -> bool:
        """Return that all rows are settled."""
        return taken.job.done == taken.job.total

    def result(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Sheet:
        """Return the rows of `corrected`."""
        table = self.corrected(ctx, settings, store, job, None)
        return Sheet([column.name for column in table.columns], [[row[column.name] for column in table.columns] for row in table.rows])

    def corrected(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say | None) -> Filled:
        """Return all rows of the batch with their errors, also the valid rows: a batch is accepted as a whole or not at all."""
        if job.document_id is None:
            raise NotFound()
        sheet = sheets.read(store.get(ctx.session, get_document(ctx, job.document_id).sha256), BATCH, max_rows=job.total)
        empty = Filled(BATCH, (), sheet.columns, noted=True)
        numbers = {row.number: number for number, row in enumerate(sheet.rows, start=2)}
        told = {row.number: told_of(row, empty, numbers[row.number], say) for row in service.failed_rows(ctx, job)}
        return replace(empty, rows=[row.cells | {ERROR: told.get(row.number, "")} for row in sheet.rows])


def register_kind() -> None:
    """Register this kind of job with the worker."""
    worker.register(JobKind.BATCH, Batches())
