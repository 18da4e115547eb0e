"""Batches of manufacturers: read the file, and check each row against the buyer's registered units (docs/domain.md, rule 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from sifilma.cards.identifiers import perso_warning
from sifilma.cards.models import Card, DeviceModel, Unit
from sifilma.cards.service import ENDED
from sifilma.documents import sheets
from sifilma.documents.rows import parsed
from sifilma.documents.sheets import RowError, Sheet
from sifilma.jobs.failed_rows import ERROR
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid
from sifilma.kernel.text import say
from sifilma.personalisation.models import BatchRow, PersonalisationRequest
from sifilma.personalisation.schemas import BatchRowIn

REQUIRED = ("hardware_number", "model", "pcid")
COLUMNS = (*REQUIRED, "sam_uid", "sam_perso")
OPTIONAL = ("sam_uid", "sam_perso", ERROR)


@dataclass(frozen=True)
class Batch:
    """A batch without errors: its rows, not yet saved, and warnings in words."""

    media_type: str
    rows: list[BatchRow]
    warnings: list[str]


@dataclass(frozen=True)
class _Line:
    row: int
    hardware_number: str
    model: str
    pcid: str
    sam_uid: str | None
    sam_perso: str


def read_table(data: bytes, max_rows: int) -> Sheet:
    """Read the file of a batch. Raise Invalid if it is no such table or has more rows than `max_rows`.

    This may take seconds, so the caller reads the file before it uses the database.
    """
    return sheets.read(data, required=REQUIRED, optional=OPTIONAL, max_rows=max_rows)


def read_batch(ctx: Context, sheet: Sheet, buyer_id: UUID) -> Batch:
    """Return a batch whose rows are all valid. Raise Invalid with every error of every row. It saves nothing."""
    rows_in, errors = parsed(sheet, BatchRowIn, passed_over=ERROR)
    lines = [_Line(number, row.hardware_number, row.model, row.pcid, row.sam_uid, row.sam_perso) for number, row in rows_in.items()]
    maker_id = ctx.actor.organisation_id
    units = _units(ctx, buyer_id, maker_id)
    errors += _twice(lines)
    errors += [error for line in lines for error in _mismatches(line, units)]
    errors += _taken(ctx, lines, units)
    if errors:
        found = [error.as_dict() for error in sorted(errors, key=lambda error: (error.row, error.column))]
        count = len({error.row for error in errors})
        raise Invalid(say("%(count)s rows of the batch cannot be accepted; nothing was saved.", count=count), errors=found)
    rows = [
        BatchRow(row_no=line.row, unit_id=units[line.hardware_number][0].id, pcid=line.pcid, sam_uid=line.sam_uid, sam_perso=line.sam_perso)
        for line in lines
    ]
    return Batch(sheet.media_type, rows, [warning for line in lines if (warning := perso_warning(line.sam_perso))])


def require_fitting(ctx: Context, request: PersonalisationRequest) -> None:
    """Check the batch of a request again when it is approved. Raise Conflict (`batch-changed`) if a row does not fit any more.

    Since the batch was read, others may have used its units, PCIDs or UIDs.
    """
    rows = {row.unit_id: row for row in request.rows}
    found = ctx.session.execute(select(Unit, DeviceModel).join(DeviceModel, DeviceModel.id == Unit.model_id).where(Unit.id.in_(rows)))
    named = [(rows[unit.id], unit, model) for unit, model in found]
    units = {
        unit.hardware_number: (unit, model)
        for _, unit, model in named
        if unit.organisation_id == request.buyer_id and model.manufacturer_id == request.requester_id
    }
    lines = [_Line(row.row_no, unit.hardware_number, model.name, row.pcid, row.sam_uid, row.sam_perso) for row, unit, model in named]
    errors = [error for line in lines for error in _mismatches(line, units)]
    errors += _taken(ctx, lines, units)
    if errors:
        first = min(errors, key=lambda error: error.row)
        told = say("The batch does not fit any more. Row %(row)s: %(message)s Return the request.", row=first.row, message=first.message)
        raise Conflict(told, type="batch-changed", errors=[error.as_dict() for error in errors])


def _units(ctx: Context, buyer_id: UUID, maker_id: UUID | None) -> dict[str, tuple[Unit, DeviceModel]]:
    """Return the buyer's units of the maker's models, by number. Of other makers' units a batch tells nothing, not even that they exist."""
    rows = ctx.session.execute(
        select(Unit, DeviceModel)
        .join(DeviceModel, DeviceModel.id == Unit.model_id)
        .where(Unit.organisation_id == buyer_id, DeviceModel.manufacturer_id == maker_id)
    )
    return {unit.hardware_number: (unit, model) for unit, model in rows}


def _twice(lines: list[_Line]) -> Iterator[RowError]:
    for column in ("hardware_number", "pcid", "sam_uid"):
        counts = Counter(getattr(line, column) for line in lines)
        for line in lines:
            value = getattr(line, column)
            if value and counts[value] > 1:
                yield RowError(line.row, column, say("%(value)s is given in %(count)s rows.", value=value, count=counts[value]))


def _mismatches(line: _Line, units: dict[str, tuple[Unit, DeviceModel]]) -> Iterator[RowError]:
    found = units.get(line.hardware_number)
    if found is None:
        told = say("The buyer has registered no unit %(number)s of a model of yours.", number=line.hardware_number)
        yield RowError(line.row, "hardware_number", told)
        return
    unit, model = found
    if model.name != line.model:
        yield RowError(line.row, "model", say("%(number)s is registered as %(model)s.", number=line.hardware_number, model=model.name))
    if unit.function != "R":
        told = say("%(number)s is registered for %(function)s; a batch is for R.", number=line.hardware_number, function=unit.function)
        yield RowError(line.row, "hardware_number", told)
    if unit.pcid is not None and unit.pcid != line.pcid:
        yield RowError(line.row, "pcid", say("%(number)s has another PCID already.", number=line.hardware_number))


def _taken(ctx: Context, lines: list[_Line], units: dict[str, tuple[Unit, DeviceModel]]) -> Iterator[RowError]:
    """Yield an error for a PCID of another unit, a UID that is registered already, and a unit that has a living card.

    Whose unit or card it is, is not told: the words are the same for the maker's own.
    """
    own = {unit.id for unit, _ in units.values()}
    pcids = {
        pcid: unit_id
        for unit_id, pcid in ctx.session.execute(select(Unit.id, Unit.pcid).where(Unit.pcid.in_([line.pcid for line in lines])))
    }
    uids = set(ctx.session.scalars(select(Card.uid).where(Card.uid.in_([line.sam_uid for line in lines if line.sam_uid]))))
    tied = set(ctx.session.scalars(select(Card.unit_id).where(Card.unit_id.in_(own), Card.state.not_in(ENDED))))
    for line in lines:
        unit = units.get(line.hardware_number)
        if unit is None:  # refused already; what else its row names is not told
            continue
        if line.pcid in pcids and pcids[line.pcid] != unit[0].id:
            yield RowError(line.row, "pcid", "This PCID is taken.")
        if line.sam_uid in uids:
            yield RowError(line.row, "sam_uid", say("%(uid)s is taken.", uid=line.sam_uid))
        if unit[0].id in tied:
            yield RowError(line.row, "hardware_number", say("%(number)s has a card already.", number=line.hardware_number))
