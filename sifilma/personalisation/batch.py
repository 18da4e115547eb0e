"""Batches of manufacturers: read the file, and check each row against the buyer's registered units (docs/domain.md, rule 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select

from sifilma.cards.identifiers import perso_warning
from sifilma.cards.import_table import HARDWARE_NUMBER, MODEL, OUTLET, PCID, SAM_PERSO, SAM_UID, needed
from sifilma.cards.models import Card, DeviceModel, Unit, UnitCondition
from sifilma.cards.outlets.queries import is_called, outlets_of_units
from sifilma.cards.service import ENDED
from sifilma.documents.tables import sheets
from sifilma.documents.tables.columns import Format
from sifilma.documents.tables.rows import parsed
from sifilma.documents.tables.sheets import RowError, Sheet
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid
from sifilma.kernel.repeats import repeats, same_as
from sifilma.kernel.text import Text, say
from sifilma.personalisation.models import BatchRow, PersonalisationRequest
from sifilma.personalisation.schemas import BatchRowIn

AT = replace(OUTLET, expected=say("Branch code or name of the buyer's outlet at which the unit stands. It may stay empty."))
BATCH = Format(say("Batch"), (HARDWARE_NUMBER, MODEL, needed(PCID), SAM_UID, SAM_PERSO, AT))


@dataclass(frozen=True)
class Batch:
    """A batch without errors: its rows, not yet saved."""

    media_type: str
    rows: list[BatchRow]


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
    return sheets.read(data, BATCH, max_rows=max_rows)


def read_batch(ctx: Context, sheet: Sheet, buyer_id: UUID) -> Batch:
    """Return a batch whose rows are all valid. Raise Invalid with every error of every row. It saves nothing."""
    ctx.warn(sheet.warnings)
    rows_in, errors = parsed(sheet, BatchRowIn)
    lines = [_Line(number, row.hardware_number, row.model, row.pcid, row.sam_uid, row.sam_perso) for number, row in rows_in.items()]
    maker_id = ctx.actor.organisation_id
    units = _units(ctx, buyer_id, maker_id)
    errors += _twice(lines)
    errors += [error for line in lines for error in _mismatches(line, units)]
    errors += _taken(ctx, lines, units)
    errors += _elsewhere(ctx, {line.row: (rows_in[line.row].outlet, units.get(line.hardware_number)) for line in lines})
    if errors:
        ctx.warn(sheet.warning(line.row, SAM_PERSO.name, told) for line in lines if (told := perso_warning(line.sam_perso)))
        count = len({error.row for error in errors})
        told = say("%(count)s rows of the batch cannot be accepted; nothing was saved.", count=count)
        raise Invalid(told, errors=sheet.located(errors))
    rows = [
        BatchRow(row_no=line.row, unit_id=units[line.hardware_number][0].id, pcid=line.pcid, sam_uid=line.sam_uid, sam_perso=line.sam_perso)
        for line in lines
    ]
    return Batch(sheet.media_type, rows)


def warnings_of(request: PersonalisationRequest) -> list[Text]:
    """Return what should be looked at in the rows of a saved batch."""
    found = ((row.row_no, perso_warning(row.sam_perso)) for row in request.rows)
    return [say("Row %(row)s: %(message)s", row=row, message=told) for row, told in found if told]


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
        for row, first in repeats({line.row: getattr(line, column) for line in lines}).items():
            yield RowError(row, column, same_as(first))


def _mismatches(line: _Line, units: dict[str, tuple[Unit, DeviceModel]]) -> Iterator[RowError]:
    found = units.get(line.hardware_number)
    if found is None:
        told = say("The buyer has registered no unit %(number)s of this manufacturer's models.", number=line.hardware_number)
        yield RowError(line.row, "hardware_number", told)
        return
    unit, model = found
    if model.name != line.model:
        yield RowError(line.row, "model", say("%(number)s is registered as %(model)s.", number=line.hardware_number, model=model.name))
    if unit.function != "R":
        told = say("%(number)s is registered for %(function)s; a batch is for R.", number=line.hardware_number, function=unit.function)
        yield RowError(line.row, "hardware_number", told)
    if unit.condition != UnitCondition.WORKING:
        told = say("%(number)s is %(state)s.", number=line.hardware_number, state=unit.condition)
        yield RowError(line.row, "hardware_number", told)
    if unit.pcid is not None and unit.pcid != line.pcid:
        yield RowError(line.row, "pcid", say("%(number)s has another PCID already.", number=line.hardware_number))


def _elsewhere(ctx: Context, named: Mapping[int, tuple[str, tuple[Unit, DeviceModel] | None]]) -> Iterator[RowError]:
    """Yield an error for a unit that does not stand at the outlet its row names: machines of two branches were mixed up."""
    found = {row: (text, unit[0]) for row, (text, unit) in named.items() if text and unit is not None}
    outlets = outlets_of_units(ctx, [unit for _, unit in found.values()])
    for row, (text, unit) in found.items():
        at = outlets.get(unit.outlet_id) if unit.outlet_id else None
        if at is None or not is_called(at, text):
            yield RowError(row, AT.name, say("%(number)s does not stand at this outlet.", number=unit.hardware_number))


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
