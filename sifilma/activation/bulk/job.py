"""Activation by file: the rows of a sheet, each an activation of its own, done by the worker.

The file is sealed as tokens are: under the organisation's data key of the month, which only the HSM opens. It is wiped when the job ends.
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
AT_ONCE = 50
REFUSALS = (Invalid, Conflict, NotFound, ValidationError)
ROW_KEY = 16


class RowIn(ActivationIn):
    """A row: numbers may be written with a comma, and a position nobody took from a device or map was typed."""

    @field_validator(*NUMBERS, mode="before")
    @classmethod
    def with_a_point(cls, value: object) -> object:
        """`-7,6536` as spreadsheets here write it, and the minus sign they make of a hyphen."""
        return value.replace(",", ".").replace("−", "-") if isinstance(value, str) else value


def begin(ctx: Context, settings: Settings, hsm: HSM, file: Upload | None) -> Job:
    """Take a file in. Invalid when it cannot be read as a whole; what is wrong with its rows is found one by one, later."""
    if file is None:
        raise Invalid.field("file", "Choose a file.")
    ctx.uow.end_read()
    sheet = sheets.read(file.data, required=REQUIRED, optional=OPTIONAL, max_rows=settings.bulk_max_rows, field="file")
    job_id, organisation = uuid7(), ctx.actor.organisation_id
    assert organisation is not None  # noqa: S101  # the hook lets nobody else in
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
    """The kind of job."""

    operation = Operation.ACTIVATE

    def result(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Sheet:
        """Each row with its activation, or what was wrong."""
        return job_sheets.result(ctx, settings, job, say)

    def corrected(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Sheet:
        """The failed rows, without tokens."""
        return corrected(ctx, settings, job, say)

    def work(self, taken: Taken) -> bool:
        """A few rows at once, while there is time."""
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
    """The file's rows, in memory only."""
    job, hsm = taken.job, taken.tools.hsm
    data_key = ctx.session.get_one(DataKey, UUID(bytes=job.sealed[:ROW_KEY]))
    ctx.uow.end_read()
    key = sealing.unwrap(hsm, data_key)
    packed = zlib.decompress(sealing.open_sealed(key, job.sealed[ROW_KEY:], SEALED, job.id))
    return [Row(number, cells) for number, cells in json.loads(packed)]


def _do(taken: Taken, rows: Sequence[Row]) -> None:
    """Rows in one transaction; when somebody was faster with one of them, each in its own."""
    try:
        _together(taken, rows)
    except (Conflict, IntegrityError):
        for row in rows:
            _alone(taken, row)


def _together(taken: Taken, rows: Sequence[Row]) -> None:
    """Check and sign all, then commit what can be, with every row's result. Conflict and IntegrityError: nothing is done yet."""
    with taken.tools.open() as system:
        system.uow.begin_read()
        ctx = worker.on_behalf(system, taken)
        ready, settled = _checked(ctx, taken, rows)
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
    """The wrong try is counted in the transaction of the row's result: once, whatever happens."""
    return _failed(taken, row, issuing.wrong_token(tokens.count_wrong_try(ctx.session, ctx, ready.row.token_id)))


def _alone(taken: Taken, row: Row) -> None:
    try:
        _together(taken, [row])
    except (Conflict, IntegrityError) as refused:
        told = Conflict("The database refused this: it contradicts what is recorded.") if isinstance(refused, IntegrityError) else refused
        with taken.tools.open() as ctx:
            worker.settle(ctx, taken, [_failed(taken, row, told)])


def _failed(taken: Taken, row: Row, refused: Exception) -> Settled:
    """A row with what was wrong, and its cells without the token."""
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
    """Let the worker know this kind."""
    worker.register(JobKind.ACTIVATION, Activations())
