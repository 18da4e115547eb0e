"""Batches of many rows: begin their intake, say how far it is, and withdraw it with the request."""

from __future__ import annotations

import hashlib
from uuid import UUID

from sqlalchemy import delete, func, select

from sifilma.documents.models import Document
from sifilma.documents.service import Upload
from sifilma.documents.tables.sheets import Measured
from sifilma.jobs import file_rows
from sifilma.jobs import service as jobs
from sifilma.jobs.models import ENDED, Job, JobKind, JobState
from sifilma.jobs.service import NewJob
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import Text, say
from sifilma.personalisation.models import BatchRow, PersonalisationRequest

REPLACED = say("Another batch came in its place.")
CANCELLED = say("The request was cancelled.")


def begin(ctx: Context, request: PersonalisationRequest, file: Upload, table: Measured) -> Job:
    """Queue the intake of the stored batch of a draft. Raise Conflict (`too-many-jobs`) as `jobs.service.begin` does."""
    ctx.warn(table.warnings)
    new = NewJob(uuid7(), JobKind.INTAKE, file.filename, list(table.places), table.rows, request.batch_document_id, request.id)
    return file_rows.begin(ctx, new, table)


def find(ctx: Context, request: PersonalisationRequest) -> Job | None:
    """Return the intake of the request's batch, None if the batch was read when it came."""
    job = jobs.newest_of(ctx, request.id, JobKind.INTAKE) if request.batch_document_id else None
    return job if job is not None and job.document_id == request.batch_document_id else None


def is_taken(ctx: Context, request: PersonalisationRequest, file: Upload) -> bool:
    """Return whether this is the batch that the request has, and which is taken in, or was without an error: sent again it adds nothing."""
    job = find(ctx, request)
    if job is None or job.failed or job.state in (JobState.STOPPED, JobState.CANCELLED):
        return False
    return holds(ctx, job, file)


def withdraw(ctx: Context, request: PersonalisationRequest, note: Text = CANCELLED) -> None:
    """Cancel the intake of a request's batch, if it is under way. Its worker can write nothing more."""
    job = find(ctx, request)
    if job is not None:
        jobs.withdraw(ctx, job, note)


def clear(ctx: Context, request_id: UUID) -> None:
    """Delete the rows of a batch."""
    gone = delete(BatchRow).where(BatchRow.personalisation_request_id == request_id)
    ctx.session.execute(gone.execution_options(synchronize_session=False))


def holds(ctx: Context, job: Job, file: Upload) -> bool:
    """Return whether a job works on this very file."""
    stored = ctx.session.scalar(select(Document.sha256).where(Document.id == job.document_id))
    return stored == hashlib.sha256(file.data).hexdigest()


def require_whole(ctx: Context, request: PersonalisationRequest) -> None:
    """Raise Conflict unless every row of the batch is there: while it is taken in, if that was broken off, and if rows were refused."""
    if request.batch_document_id is None:
        return
    there = ctx.session.scalar(select(func.count()).where(BatchRow.personalisation_request_id == request.id)) or 0
    if there == request.quantity:
        return
    job = find(ctx, request)
    if job is not None and job.state not in ENDED:
        told = say("The batch is still being read: %(done)s of %(total)s rows are done.", done=job.done, total=job.total)
        raise Conflict(told, type="batch-not-read")
    if job is not None and not job.failed:
        raise Conflict("The batch was not read to its end. Send it again.", type="batch-not-read")
    raise Conflict("Rows of the batch were refused. Put them right in the corrected file, and send it.", type="batch-refused")
