"""The kinds of jobs that take in a batch, and results, row after row of a stored file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from config.settings import Settings
from sifilma.approvals.four_eyes import EDITABLE
from sifilma.documents.service import Upload, keep_table
from sifilma.documents.tables import sheets
from sifilma.documents.tables.rows import parsed
from sifilma.documents.tables.sheets import Measured, RowError, Sheet
from sifilma.documents.tables.templates import Filled, Say
from sifilma.identity.permissions import Operation
from sifilma.jobs import file_rows, worker
from sifilma.jobs import service as jobs
from sifilma.jobs.failed_rows import Sheet as Table
from sifilma.jobs.models import ENDED, Job, JobKind
from sifilma.jobs.service import NewJob
from sifilma.jobs.worker import Moot, Taken
from sifilma.kernel.context import Context
from sifilma.kernel.db import by_index_only
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.many.copying import insert_all, table_of
from sifilma.kernel.text import say
from sifilma.personalisation import results
from sifilma.personalisation.batch import BATCH, check_rows, named_before
from sifilma.personalisation.intake.service import clear, holds
from sifilma.personalisation.models import BatchRow, PersonalisationRequest
from sifilma.personalisation.results import RESULTS, Given
from sifilma.personalisation.schemas import ResultIn
from sifilma.personalisation.service import get_request

MOST_NAMED = 20
"""Cards that a sentence names."""


class Batches:
    """Takes in the batch of a draft. It is accepted as a whole or not at all: with an error in any row none stays."""

    operation = Operation.PERSONALISATION_DRAFT

    def work(self, taken: Taken) -> bool:
        """Store rows until the turn is over. Return whether all have been looked at; then none is left if any was refused."""
        if not file_rows.work_through(taken, BATCH, _Rows(taken.job)):
            return False
        with taken.tools.open() as ctx:
            worker.advance(ctx, taken, 0, 0)
            job = ctx.session.get_one(Job, taken.job.id)
            if job.failed and job.subject_id and _is_its_batch(ctx, job):
                clear(ctx, job.subject_id)
        return True

    def result(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Table:
        """Return the rows of `corrected`."""
        return as_table(self.corrected(ctx, settings, store, job, None))

    def corrected(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say | None) -> Filled:
        """Return all rows of the batch with their errors, also the valid rows."""
        return file_rows.given_back(ctx, store, job, BATCH, say, whole=True)


def as_table(filled: Filled) -> Table:
    """Return a table to be filled in as one that is only read, with the names of its columns."""
    names = [column.name for column in filled.columns]
    return Table(names, ([row[name] for name in names] for row in filled.rows))


class _Rows:
    """Stores rows of a batch that have no error."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def prepare(self, ctx: Context, part: Sheet) -> Any:
        """Nothing has to be known before."""

    def settle(self, ctx: Context, part: Sheet, prepared: Any) -> Iterable[RowError]:
        """Check the rows and store those that have no error. Raise Moot if the draft has another batch, or is none any more."""
        if not _is_its_batch(ctx, self._job):
            raise Moot(say("The request does not wait for this batch any more."))
        by_index_only(ctx.session)
        request = ctx.session.get_one(PersonalisationRequest, self._job.subject_id)
        rows, errors = check_rows(ctx, part, request.buyer_id)
        wrong = {error.row for error in errors}
        rows = [row for row in rows if row["row_no"] not in wrong]
        if not _stored(ctx, request.id, rows):
            again = named_before(ctx, rows, request.id)
            wrong = {error.row for error in again}
            _store(ctx, request.id, [row for row in rows if row["row_no"] not in wrong])
            errors += again
        return errors


def _stored(ctx: Context, request_id: UUID, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Store rows. Return False, with nothing stored, if one of them names what an earlier row of the batch names: indexes know that."""
    try:
        with ctx.session.begin_nested():
            _store(ctx, request_id, rows)
    except IntegrityError:
        return False
    return True


def _store(ctx: Context, request_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
    of = {"personalisation_request_id": request_id}
    insert_all(ctx.session, table_of(BatchRow), [{"id": uuid7(), **of, **row} for row in rows])


def _is_its_batch(ctx: Context, job: Job) -> bool:
    R = PersonalisationRequest  # noqa: N806  # as elsewhere
    query = select(R.id).where(R.id == job.subject_id, R.batch_document_id == job.document_id, R.state.in_(EDITABLE))
    return ctx.session.scalar(query) is not None


# --- results -----------------------------------------------------------------------------------------------------------


def read_results(ctx: Context, data: bytes, most: int) -> Given | Measured:
    """Read results from a file; of more than `most` rows only what it is, with a warning that names cards which failed.

    Raise Invalid if it is no such table. This may take seconds, so the caller reads the file before it uses the database.
    """
    found = sheets.read_few(data, RESULTS, most, field="results")
    if isinstance(found, Sheet):
        return results.given_in(ctx, found)
    ctx.warn(results.told_of_failures(_failed(found)))
    return found


def _failed(table: Measured) -> list[str]:
    """Return the UIDs of cards that failed, as many as a sentence names."""
    rows = (row.cells for part in table.parts for row in sheets.unpacked(part.data, RESULTS).rows)
    return list(islice((cells["sam_uid"] for cells in rows if cells["outcome"] == "failed"), MOST_NAMED))


def begin_results(ctx: Context, store: FileStore, request_id: UUID, file: Upload, table: Measured) -> Job:
    """Queue results of many rows. The same file sent again while it is worked on is the same job.

    Raise NotFound outside the actor's scope, and Conflict if the request takes no results in its state.
    """
    request = get_request(ctx, request_id, Operation.PERSONALISE)
    results.require_open(request)
    job = jobs.newest_of(ctx, request.id, JobKind.RESULTS)
    if job is not None and job.state not in ENDED and job.organisation_id == ctx.actor.organisation_id and holds(ctx, job, file):
        return job
    ctx.warn(table.warnings)
    document = keep_table(ctx, store, file, table.media_type)
    new = NewJob(uuid7(), JobKind.RESULTS, file.filename, list(table.places), table.rows, document.id, request.id)
    return file_rows.begin(ctx, new, table)


class Results:
    """Records results. Those that are refused do not keep the others from being recorded: results may come in parts."""

    operation = Operation.PERSONALISE

    def work(self, taken: Taken) -> bool:
        """Record results until the turn is over. Return whether all have been looked at."""
        return file_rows.work_through(taken, RESULTS, _Results(taken))

    def result(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Table:
        """Return the rows of `corrected`."""
        return as_table(self.corrected(ctx, settings, store, job, None))

    def corrected(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say | None) -> Filled:
        """Return the rows that were refused or not done."""
        return file_rows.given_back(ctx, store, job, RESULTS, say, whole=False)


class _Results:
    """Records a set of results, all that have no error."""

    def __init__(self, taken: Taken) -> None:
        self._tools, self._request = taken.tools, taken.job.subject_id

    def prepare(self, ctx: Context, part: Sheet) -> Any:
        """Return the key check values from the HSM. The reading is ended."""
        return results.check_values(ctx, self._tools.settings, self._tools.hsm, list(parsed(part, ResultIn)[0].values()))

    def settle(self, ctx: Context, part: Sheet, prepared: Any) -> Iterable[RowError]:
        """Record the results, or raise Invalid with what is wrong. Raise Moot if the request takes none any more."""
        assert self._request is not None  # noqa: S101  # `begin_results` names it
        if get_request(ctx, self._request, Operation.PERSONALISE).state not in results.OPEN:
            raise Moot(say("The request takes no results any more."))
        given = Given(*parsed(part, ResultIn), part)
        results.settle_results(ctx, self._tools.settings, self._request, given, prepared)
        return ()


def register_kinds() -> None:
    """Register these kinds of jobs with the worker."""
    worker.register(JobKind.INTAKE, Batches())
    worker.register(JobKind.RESULTS, Results())
