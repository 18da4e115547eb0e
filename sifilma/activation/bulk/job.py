"""Activation by file: each row of a sheet is an activation of its own, carried out by the worker.

A file is read and checked once, when it is taken in; its rows are then kept one by one. The tokens in them are sealed under the
organisation's data key of the month, which only the HSM opens. A token is deleted with the result of its row, or when the job ends.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import ValidationError

from config.settings import Settings
from hsm import HSM
from sifilma.activation.bulk import job_sheets
from sifilma.activation.bulk.job_sheets import ACTIVATIONS, SECRET
from sifilma.activation.bulk.rules import check_all
from sifilma.activation.issuing import service as issuing
from sifilma.activation.issuing.service import Ready
from sifilma.activation.issuing.statements import goes_by_sets, lock_requests
from sifilma.activation.models import DataKey
from sifilma.activation.schemas import ActivationIn, TypedActivationIn
from sifilma.activation.tokens import sealing
from sifilma.activation.tokens import service as tokens
from sifilma.documents.service import Upload
from sifilma.documents.tables import sheets
from sifilma.documents.tables.rows import parsed, refuse
from sifilma.documents.tables.sheets import Measured, Row, RowError
from sifilma.documents.tables.sheets import Sheet as Table
from sifilma.documents.tables.templates import Filled, Say
from sifilma.identity.permissions import Operation
from sifilma.jobs import service, worker
from sifilma.jobs.failed_rows import ERROR, Sheet, broke_off, cells_of, corrected, refusal_for
from sifilma.jobs.models import Job, JobKind, JobLine
from sifilma.jobs.service import NewJob
from sifilma.jobs.worker import Line, Settled, Taken
from sifilma.kernel import deadline
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid, NotFound, SifilmaError
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import Wrong

SEALED = b"job"
READ = 2000
"""Rows of an upload that lie in memory at a time."""
MOST_LOCKED = 50
"""Rows per transaction on SQLite, where all others wait for it."""
ROW_KEY = 16  # bytes: the id of the data key, before a sealed token


class RowIn(TypedActivationIn):
    """One row. Without a source (device, map) the position counts as typed."""

    source: Literal["device", "map", "typed"] = "typed"


def begin(ctx: Context, settings: Settings, hsm: HSM, file: Upload | None) -> Job:
    """Queue a job for an uploaded file. Raise Invalid if the file or one of its cells cannot be read.

    A row that the schema refuses fails here, with its errors. What depends on cards, tokens and machines is found later, by the worker.
    """
    if file is None:
        raise Invalid.field("file", "Choose a file.")
    ctx.uow.end_read()
    table = sheets.measure(file.data, ACTIVATIONS, READ, field="file")
    ctx.warn(table.warnings)
    deadline.allow_for(table.rows)
    job_id, organisation = uuid7(), ctx.actor.organisation_id
    assert organisation is not None  # noqa: S101  # the gate admits only members of an organisation
    lines, failed = _read(settings, job_id, key_of(ctx, hsm, organisation), table)
    ctx.uow.begin_write()
    job = service.begin(ctx, NewJob(job_id, JobKind.ACTIVATION, file.filename, list(table.places), table.rows))
    worker.take_in(ctx, job, lines, failed)
    return job


def _read(settings: Settings, job_id: UUID, key: Key, table: Measured) -> tuple[list[Line], list[Settled]]:
    """Return the rows to be done, sealed, and those that the schema refuses. Of the others no more than a part lies in memory at a time.

    Raise Invalid, with every error of every row, if a cell cannot be read.
    """
    lines, failed, errors = list[Line](), list[Settled](), list[RowError]()
    unread: Table | None = None
    for part in table.parts:
        sheet = sheets.unpacked(part.data, ACTIVATIONS, table.media_type)
        good, wrong = parsed(sheet, RowIn)
        errors.extend(wrong)
        unread = sheet if sheet.faults else unread
        if unread is None:
            some, refused = _checked_in(settings, job_id, key, sheet.rows, good, wrong)
            lines.extend(some)
            failed.extend(refused)
    if unread is not None:
        refuse(errors, unread)
    return lines, failed


def key_of(ctx: Context, hsm: HSM, organisation: UUID) -> Key:
    """Return the organisation's data key of this month, opened. No transaction may be open."""
    ctx.uow.begin_read()
    data_key = sealing.ensure_key(ctx, hsm, organisation)
    return Key(data_key.id, sealing.unwrap(hsm, data_key))


@dataclass(frozen=True)
class Key:
    """A data key, opened in memory, and the id of its row."""

    id: UUID
    opened: AESGCM

    def seal(self, job_id: UUID, number: int, token: str) -> bytes:
        """Return the token of a row, sealed for this row of this job."""
        return self.id.bytes + sealing.seal(self.opened, token.encode(), _place(number), job_id)

    def open(self, line: JobLine) -> str:
        """Return the token of a row. Raise HSMMisuse if what is stored was changed or belongs to another row."""
        return sealing.open_sealed(self.opened, (line.secret or b"")[ROW_KEY:], _place(line.number), line.job_id).decode()


def _place(number: int) -> bytes:
    return b"job-%d" % number


def _checked_in(
    settings: Settings, job_id: UUID, key: Key, rows: Sequence[Row], good: Collection[int], errors: Iterable[RowError]
) -> tuple[list[Line], list[Settled]]:
    """Return the rows to be done, whose numbers are `good`, and those that the schema refuses."""
    lines, failed = list[Line](), list[Settled]()
    told: dict[int, list[dict[str, Any]]] = {}
    for error in errors:
        told.setdefault(error.row, []).append(worker.error(error.column, error.message))
    for row in rows:
        if row.number in good:
            lines.append(line_of(settings, job_id, key, row.number, row.cells))
        else:
            cells = worker.sealed_cells(settings, job_id, row.number, _without_secrets(row.cells))
            failed.append(Settled(row.number, errors=told[row.number], cells=cells))
    return lines, failed


def line_of(settings: Settings, job_id: UUID, key: Key, number: int, cells: Mapping[str, str]) -> Line:
    """Return a row to be done, its cells sealed for storage and its token apart from them."""
    kept = worker.sealed_cells(settings, job_id, number, _without_secrets(cells))
    return Line(number, kept, key.seal(job_id, number, cells[SECRET]))


def _without_secrets(cells: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in cells.items() if name not in (SECRET, ERROR)}


class Activations:
    """The kind of job that activates cards."""

    operation = Operation.ACTIVATE

    def result(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Sheet:
        """Return each row with its activation or its errors."""
        return job_sheets.result(ctx, settings, job, say)

    def corrected(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say | None) -> Filled:
        """Return the failed rows, without tokens."""
        return corrected(ctx, settings, job, ACTIVATIONS, say)

    def work(self, taken: Taken) -> bool:
        """Activate a set of rows at a time until the turn is over. Return whether all rows have a result.

        The first rows are done whatever the time, so that every turn settles some. After a turn that failed rows are tried one by one.
        """
        with deadline.suspended():  # read once in a process: a second of CPU, which on a loaded machine takes as long as a turn may wait
            taken.tools.places()
        with taken.tools.open() as ctx:
            ctx.uow.begin_read()
            worker.on_behalf(ctx, taken)
        if taken.job.sealed:
            _spread(taken)
        key: Key | None = None
        while lines := _waiting(taken):
            key = key or _opened(taken, lines[0].secret or b"")
            for rows in _sets(_row(taken, key, line) for line in lines):
                if taken.careful:
                    _alone(taken, rows[0])
                else:
                    _do(taken, rows)
                if not taken.in_time:
                    return False
        return True


def _waiting(taken: Taken) -> list[JobLine]:
    with taken.tools.open() as ctx:
        ctx.uow.begin_read()
        at_once = taken.tools.settings.bulk_at_once
        if not goes_by_sets(ctx.session):
            at_once = min(at_once, MOST_LOCKED)
        return worker.next_lines(ctx, taken, 1 if taken.careful else at_once)


def _opened(taken: Taken, sealed: bytes) -> Key:
    """Return the data key, opened in the HSM, whose id stands before what was sealed under it."""
    with taken.tools.open() as ctx:
        ctx.uow.begin_read()
        data_key = ctx.session.get_one(DataKey, UUID(bytes=sealed[:ROW_KEY]))
        ctx.uow.end_read()
        return Key(data_key.id, sealing.unwrap(taken.tools.hsm, data_key))


def _spread(taken: Taken) -> None:
    """Turn the rows of a file that an earlier version took in, sealed as a whole, into lines."""
    job, key = taken.job, _opened(taken, taken.job.sealed)
    with taken.tools.open() as ctx:
        ctx.uow.begin_read()
        settled = worker.settled_numbers(ctx, job)
    rows = json.loads(zlib.decompress(sealing.open_sealed(key.opened, job.sealed[ROW_KEY:], SEALED, job.id)))
    settings = taken.tools.settings
    lines = [line_of(settings, job.id, key, number, cells) for number, cells in rows if number not in settled]
    with taken.tools.open() as ctx:
        worker.spread(ctx, taken, lines)


class Entangled(Exception):
    """What becomes of one row may depend on what became of another one: they are done apart."""


@dataclass(frozen=True)
class _Row:
    """A row with what it asks for, or why it cannot be read."""

    line: JobLine
    given: ActivationIn | Exception


def _row(taken: Taken, key: Key, line: JobLine) -> _Row:
    read = list[ActivationIn]()
    fault = worker.own_fault(lambda: read.append(_parsed(cells_of(taken.tools.settings, line) | {SECRET: key.open(line)})))
    return _Row(line, fault or read[0])


def _sets(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Part rows, in their order, where a card or machine is named again: what became of it the first time must be seen then."""
    part, named = list[_Row](), set[str]()
    for row in rows:
        names = {f"card {row.given.sam_uid}", f"unit {row.given.hardware_number}"} if isinstance(row.given, ActivationIn) else set[str]()
        if part and names & named:
            yield part
            part, named = [], set()
        part.append(row)
        named |= names
    if part:
        yield part


def _do(taken: Taken, rows: Sequence[_Row]) -> None:
    """Activate rows in one transaction. If that fails, halve them until what fails stands alone, and settle it with its fault."""
    fault = worker.own_fault(partial(_together, taken, rows))
    if fault is None:
        return
    if len(rows) == 1:  # its own fault: it is not tried again, and the rest of the file goes on
        line = rows[0].line
        with taken.tools.open() as ctx:
            worker.settle(ctx, taken, [_failed(line, refusal_for(fault, taken.job.id, line.number))])
        return
    half = len(rows) // 2
    _do(taken, rows[:half])
    if taken.in_time:  # else the rest is the next turn's
        _do(taken, rows[half:])


def _together(taken: Taken, rows: Sequence[_Row]) -> None:
    """Check and sign rows about different cards and machines, then commit those that succeed, with the result of every row.

    If the turn ends while they are checked, the rest is left for the next turn. Raise Conflict or IntegrityError if another act came first;
    then nothing of these rows is written.
    """
    with taken.tools.open() as system:
        system.uow.begin_read()
        ctx = worker.on_behalf(system, taken)
        ready, settled = _checked(ctx, taken, rows)
        ctx.uow.end_read()
        signed = issuing.sign(ctx, taken.tools.settings, taken.tools.hsm, [one for _, one in ready]) if ready else []
        ctx.uow.begin_write()
        made = [(line, one, its) for (line, one), its in zip(ready, signed, strict=True) if its is not None]
        if len(made) < len(ready) > 1:  # a wrong try locks its token after others were redeemed: another file may do so the other way round
            lock_requests(ctx.session, {one.row.request_id for _, one in ready})
        issued = issuing.issue(ctx, [(one, its) for _, one, its in made]) if made else []
        settled += [Settled(line.number, done.activation_id) for (line, *_), done in zip(made, issued, strict=True)]
        wrong = [(line, one) for (line, one), its in zip(ready, signed, strict=True) if its is None]
        worker.settle(ctx, taken, settled + [_wrong_token(ctx, line, one) for line, one in wrong])


def _checked(ctx: Context, taken: Taken, rows: Sequence[_Row]) -> tuple[list[tuple[JobLine, Ready]], list[Settled]]:
    asked = [(row.line, row.given) for row in rows if isinstance(row.given, ActivationIn)]
    checked = check_all(ctx, taken.tools.hsm, taken.tools.places(), [given for _, given in asked], lambda: taken.in_time)
    found = [(line, one) for (line, _), one in zip(asked, checked, strict=False)]  # the rest is the next turn's
    ready = [(line, one) for line, one in found if isinstance(one, Ready)]
    refused = [(line, one) for line, one in found if not isinstance(one, Ready)]
    if refused and any(_leaves_its_machine(one) for _, one in ready):
        raise Entangled  # another row may name that machine
    unread = [(row.line, row.given) for row in rows if isinstance(row.given, Exception)]
    told = [(line, refusal_for(fault, taken.job.id, line.number)) for line, fault in unread]
    return ready, [_failed(line, why) for line, why in [*refused, *told]]


def _leaves_its_machine(ready: Ready) -> bool:
    return ready.row.tied_unit_id not in (None, ready.row.unit_id)


def _parsed(cells: Mapping[str, str]) -> ActivationIn:
    given = {name: text for name, text in cells.items() if text and name != ERROR}
    return RowIn.model_validate(given)


def _wrong_token(ctx: Context, line: JobLine, ready: Ready) -> Settled:
    """Count the wrong try in the transaction of the row's result, so that a repetition after a crash does not count it twice."""
    return _failed(line, issuing.wrong_token(tokens.count_wrong_try(ctx.session, ctx, ready.row.token_id)))


def _alone(taken: Taken, row: _Row) -> None:
    """Try a row alone after a turn that failed. If workers ended at it again and again, it fails without being tried."""
    if worker.try_alone(taken, row.line.number):
        _do(taken, [row])
    else:
        with taken.tools.open() as ctx:
            worker.settle(ctx, taken, [_failed(row.line, broke_off(worker.ROW_TRIES))])


def _failed(line: JobLine, refused: Exception) -> Settled:
    """Return the result of a failed row: its errors, and its cells, which are stored without the token."""
    return Settled(line.number, errors=_errors(refused), cells=line.cells)


def _errors(refused: Exception) -> list[dict[str, Any]]:
    if isinstance(refused, ValidationError):
        return [worker.error(str((*found["loc"], "")[0]), Wrong(found)) for found in refused.errors(include_url=False)]
    assert isinstance(refused, SifilmaError)  # noqa: S101  # REFUSALS, or what `told_of` made of another fault
    if isinstance(refused, Invalid) and refused.errors:
        return [worker.error(str(found["field"]), found["message"]) for found in refused.errors]
    column = "sam_uid" if isinstance(refused, NotFound) else ""
    return [worker.error(column, refused.detail or refused.title)]


def register_kind() -> None:
    """Register this kind of job."""
    worker.register(JobKind.ACTIVATION, Activations())
