"""Activation by file: each row of a sheet is an activation of its own, carried out by the worker.

The rows hold tokens, so they are sealed under the organisation's data key of the month, which only the HSM opens. They are deleted when
the job ends.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from pydantic import ValidationError, field_validator
from sqlalchemy.exc import IntegrityError

from config.settings import Settings
from hsm import HSM
from sifilma.activation.bulk import job_sheets
from sifilma.activation.bulk.job_sheets import OPTIONAL, REQUIRED, SECRET
from sifilma.activation.issuing import service as issuing
from sifilma.activation.issuing.service import Ready
from sifilma.activation.models import DataKey
from sifilma.activation.schemas import ActivationIn
from sifilma.activation.tokens import sealing
from sifilma.activation.tokens import service as tokens
from sifilma.documents import sheets
from sifilma.documents.service import Upload
from sifilma.documents.sheets import Row
from sifilma.identity.permissions import Operation
from sifilma.jobs import service, worker
from sifilma.jobs.failed_rows import ERROR, Say, Sheet, corrected
from sifilma.jobs.models import Job, JobKind
from sifilma.jobs.service import NewJob
from sifilma.jobs.worker import Settled, Taken
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid, NotFound, SifilmaError
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import Wrong

NUMBERS = ("latitude", "longitude", "accuracy_m")
SEALED = b"job"
# Rows per transaction and per HSM call.
AT_ONCE = 50
REFUSALS = (Invalid, Conflict, NotFound, ValidationError)
ROW_KEY = 16  # bytes: the id of the data key, before the sealed rows


class RowIn(ActivationIn):
    """One row. Numbers may have a comma. Without a source (device, map) the position counts as typed."""

    @field_validator(*NUMBERS, mode="before")
    @classmethod
    def with_a_point(cls, value: object) -> object:
        """Return a number with a point: spreadsheets here write `-7,6536`, and some replace the hyphen by a minus sign."""
        return value.replace(",", ".").replace("−", "-") if isinstance(value, str) else value


def begin(ctx: Context, settings: Settings, hsm: HSM, file: Upload | None) -> Job:
    """Queue a job for an uploaded file. Raise Invalid if the file cannot be read; errors of single rows are found later, by the worker."""
    if file is None:
        raise Invalid.field("file", "Choose a file.")
    ctx.uow.end_read()
    sheet = sheets.read(file.data, required=REQUIRED, optional=OPTIONAL, max_rows=settings.bulk_max_rows, field="file")
    job_id, organisation = uuid7(), ctx.actor.organisation_id
    assert organisation is not None  # noqa: S101  # the gate admits only members of an organisation
    ctx.uow.begin_read()
    data_key = sealing.ensure_key(ctx, hsm, organisation)
    key = sealing.unwrap(hsm, data_key)
    sealed = data_key.id.bytes + sealing.seal(key, _packed(sheet.rows), SEALED, job_id)
    ctx.uow.begin_write()
    columns = [name for name in sheet.rows[0].cells if name != ERROR]
    return service.begin(ctx, NewJob(job_id, JobKind.ACTIVATION, file.filename, columns, len(sheet.rows), sealed))


def _packed(rows: Sequence[Row]) -> bytes:
    return zlib.compress(json.dumps([[row.number, row.cells] for row in rows]).encode())


class Activations:
    """The kind of job that activates cards."""

    operation = Operation.ACTIVATE

    def result(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Sheet:
        """Return each row with its activation or its errors."""
        return job_sheets.result(ctx, settings, job, say)

    def corrected(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Sheet:
        """Return the failed rows, without tokens."""
        return corrected(ctx, settings, job, say)

    def work(self, taken: Taken) -> bool:
        """Activate AT_ONCE rows at a time until the turn is over. Return whether all rows have a result."""
        with taken.tools.open() as ctx:
            ctx.uow.begin_read()
            worker.on_behalf(ctx, taken)
            settled = worker.settled_numbers(ctx, taken.job)
            rows = _opened(ctx, taken)
        waiting = iter(row for row in rows if row.number not in settled)
        while part := list(islice(waiting, AT_ONCE)):
            if not taken.in_time:
                return False
            _do(taken, part)
        return True


def _opened(ctx: Context, taken: Taken) -> list[Row]:
    """Return the file's rows. They are opened in memory only."""
    job, hsm = taken.job, taken.tools.hsm
    data_key = ctx.session.get_one(DataKey, UUID(bytes=job.sealed[:ROW_KEY]))
    ctx.uow.end_read()
    key = sealing.unwrap(hsm, data_key)
    packed = zlib.decompress(sealing.open_sealed(key, job.sealed[ROW_KEY:], SEALED, job.id))
    return [Row(number, cells) for number, cells in json.loads(packed)]


def _do(taken: Taken, rows: Sequence[Row]) -> None:
    """Activate rows in one transaction. If one of them fails in it, activate each in a transaction of its own."""
    try:
        _together(taken, rows)
    except (Conflict, IntegrityError):
        for row in rows:
            _alone(taken, row)


def _together(taken: Taken, rows: Sequence[Row]) -> None:
    """Check and sign all rows, then commit those that succeed, with the result of every row.

    Raise Conflict or IntegrityError if another act came first; then nothing of these rows is written.
    """
    with taken.tools.open() as system:
        system.uow.begin_read()
        ctx = worker.on_behalf(system, taken)
        ready, settled = _checked(ctx, taken, rows)
        if len({one.data.sam_uid for _, one in ready}) < len(ready):
            raise Conflict("A card is named twice in these rows.")  # each alone: a wrong token is counted before the next is compared
        ctx.uow.end_read()
        signed = issuing.sign(ctx, taken.tools.settings, taken.tools.hsm, [one for _, one in ready]) if ready else []
        ctx.uow.begin_write()
        made = [(row, one, its) for (row, one), its in zip(ready, signed, strict=True) if its is not None]
        issued = issuing.issue(ctx, [(one, its) for _, one, its in made]) if made else []
        settled += [Settled(row.number, done.activation_id) for (row, *_), done in zip(made, issued, strict=True)]
        wrong = [(row, one) for (row, one), its in zip(ready, signed, strict=True) if its is None]
        worker.settle(ctx, taken, settled + [_wrong_token(ctx, taken, row, one) for row, one in wrong])


def _checked(ctx: Context, taken: Taken, rows: Sequence[Row]) -> tuple[list[tuple[Row, Ready]], list[Settled]]:
    ready: list[tuple[Row, Ready]] = []
    settled: list[Settled] = []
    for row in rows:
        try:
            ctx.uow.begin_read()
            ready.append((row, issuing.check(ctx, taken.tools.hsm, taken.tools.places(), _parsed(row))))
        except REFUSALS as refused:
            settled.append(_failed(taken, row, refused))
    return ready, settled


def _parsed(row: Row) -> ActivationIn:
    cells = {name: text for name, text in row.cells.items() if text and name != ERROR}
    return RowIn.model_validate({"source": "typed"} | cells)


def _wrong_token(ctx: Context, taken: Taken, row: Row, ready: Ready) -> Settled:
    """Count the wrong try in the transaction of the row's result, so that a repetition after a crash does not count it twice."""
    return _failed(taken, row, issuing.wrong_token(tokens.count_wrong_try(ctx.session, ctx, ready.row.token_id)))


def _alone(taken: Taken, row: Row) -> None:
    try:
        _together(taken, [row])
    except (Conflict, IntegrityError) as refused:
        told = Conflict("The database refused this: it contradicts what is recorded.") if isinstance(refused, IntegrityError) else refused
        with taken.tools.open() as ctx:
            worker.settle(ctx, taken, [_failed(taken, row, told)])


def _failed(taken: Taken, row: Row, refused: Exception) -> Settled:
    """Return the result of a failed row: its errors, and its cells without the token."""
    cells = {name: text for name, text in row.cells.items() if name not in (SECRET, ERROR)}
    sealed = worker.sealed_cells(taken, row.number, json.dumps(cells).encode())
    return Settled(row.number, errors=_errors(refused), cells=sealed)


def _errors(refused: Exception) -> list[dict[str, Any]]:
    if isinstance(refused, ValidationError):
        return [worker.error(str((*found["loc"], "")[0]), Wrong(found)) for found in refused.errors(include_url=False)]
    assert isinstance(refused, SifilmaError)  # noqa: S101  # REFUSALS
    if isinstance(refused, Invalid) and refused.errors:
        return [worker.error(str(found["field"]), found["message"]) for found in refused.errors]
    column = "sam_uid" if isinstance(refused, NotFound) else ""
    return [worker.error(column, refused.detail or refused.title)]


def register_kind() -> None:
    """Register this kind of job."""
    worker.register(JobKind.ACTIVATION, Activations())
