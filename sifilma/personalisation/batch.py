"""Batches of manufacturers: read the file, and check each row against the buyer's registered units (docs/domain.md, rule 3)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, text

from sifilma.cards.identifiers import perso_warning
from sifilma.cards.import_table import HARDWARE_NUMBER, MODEL, OUTLET, PCID, SAM_PERSO, SAM_UID, needed
from sifilma.cards.models import Card, DeviceModel, Unit, UnitCondition
from sifilma.cards.outlets.queries import is_called, outlets_by_id
from sifilma.cards.queries import ENDED
from sifilma.documents.tables import sheets
from sifilma.documents.tables.columns import Format
from sifilma.documents.tables.rows import parsed
from sifilma.documents.tables.sheets import Measured, RowError, Sheet
from sifilma.kernel.context import Context
from sifilma.kernel.db import among, one_of
from sifilma.kernel.errors import Conflict, Invalid
from sifilma.kernel.repeats import repeats, same_as
from sifilma.kernel.text import Text, say
from sifilma.personalisation.models import ODD_PERSO, BatchRow, PersonalisationRequest
from sifilma.personalisation.schemas import BatchRowIn

AT = replace(OUTLET, expected=say("Branch code or name of the buyer's outlet at which the unit stands. It may stay empty."))
BATCH = Format(say("Batch"), (HARDWARE_NUMBER, MODEL, needed(PCID), SAM_UID, SAM_PERSO, AT))
NAMED_ONCE = ("hardware_number", "pcid", "sam_uid")
AT_ONCE = 2000
MOST_WARNED = 20


@dataclass(frozen=True)
class Batch:
    """A batch without errors: the values of its rows, not yet saved."""

    media_type: str
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class _Line:
    row: int
    hardware_number: str
    model: str
    pcid: str
    sam_uid: str | None
    sam_perso: str
    outlet: str = ""


class _Machine(NamedTuple):
    """What a batch is compared with: a unit of the buyer, and the name of its model."""

    id: UUID
    hardware_number: str
    function: str
    condition: str
    pcid: str | None
    outlet_id: UUID | None
    model: str


def read_table(data: bytes, max_rows: int) -> Sheet | Measured:
    """Read the file of a batch; of one with more than `max_rows` rows only what it is, since its rows are read later.

    Raise Invalid if it is no such table. This may take seconds, so the caller reads the file before it uses the database.
    """
    return sheets.read_few(data, BATCH, max_rows)


def read_batch(ctx: Context, sheet: Sheet, buyer_id: UUID) -> Batch:
    """Return a batch whose rows are all valid. Raise Invalid with every error of every row. It saves nothing."""
    ctx.warn(sheet.warnings)
    rows, errors = check_rows(ctx, sheet, buyer_id)
    if errors:
        refused = {error.row for error in errors if error.column == SAM_PERSO.name}
        odd = ((row.number, perso_warning(row.cells.get(SAM_PERSO.name, ""))) for row in sheet.rows if row.number not in refused)
        ctx.warn(sheet.warning(number, SAM_PERSO.name, told) for number, told in odd if told)
        count = len({error.row for error in errors})
        told = say("%(count)s rows of the batch cannot be accepted; nothing was saved.", count=count)
        raise Invalid(told, errors=sheet.located(errors))
    return Batch(sheet.media_type, rows)


def check_rows(ctx: Context, sheet: Sheet, buyer_id: UUID) -> tuple[list[dict[str, Any]], list[RowError]]:
    """Return the values of the rows that the buyer has a unit for, and every error of every row. The cost is that of the rows."""
    rows_in, errors = parsed(sheet, BatchRowIn)
    lines = [_Line(n, one.hardware_number, one.model, one.pcid, one.sam_uid, one.sam_perso, one.outlet) for n, one in rows_in.items()]
    units = _units(ctx, [line.hardware_number for line in lines], buyer_id, ctx.actor.organisation_id)
    errors += _twice(lines)
    errors += [error for line in lines for error in _mismatches(line, units)]
    errors += _taken(ctx, lines, units)
    errors += _elsewhere(ctx, lines, units)
    rows = [
        {"row_no": line.row, "unit_id": unit.id, "pcid": line.pcid, "sam_uid": line.sam_uid, "sam_perso": line.sam_perso}
        for line in lines
        if (unit := units.get(line.hardware_number))
    ]
    return rows, errors


def warnings_of(ctx: Context, request: PersonalisationRequest) -> list[Text]:
    """Return what should be looked at in the rows of a saved batch, of MOST_WARNED rows at most."""
    if request.batch_document_id is None:
        return []
    odd = select(BatchRow.row_no, BatchRow.sam_perso).where(BatchRow.personalisation_request_id == request.id, text(ODD_PERSO))
    found = ((row, perso_warning(typed)) for row, typed in ctx.session.execute(odd.order_by(BatchRow.row_no).limit(MOST_WARNED)))
    return [say("Row %(row)s: %(message)s", row=row, message=told) for row, told in found if told]


def require_fitting(ctx: Context, request: PersonalisationRequest) -> None:
    """Check the batch of a request again when it is approved. Raise Conflict (`batch-changed`) if a row does not fit any more.

    Since the batch was read, others may have used its units, PCIDs or UIDs.
    """
    errors: list[RowError] = []
    for rows in saved_rows(ctx, request.id):
        named = {row.hardware_number: row for row in rows}
        of_buyer = _units(ctx, list(named), request.buyer_id, request.requester_id)
        lines = [_Line(row.row_no, row.hardware_number, row.model, row.pcid, row.sam_uid, row.sam_perso) for row in rows]
        errors += [error for line in lines for error in _mismatches(line, of_buyer)]
        errors += _taken(ctx, lines, of_buyer)
    if errors:
        first = min(errors, key=lambda error: error.row)
        told = say("The batch does not fit any more. Row %(row)s: %(message)s Return the request.", row=first.row, message=first.message)
        raise Conflict(told, type="batch-changed", errors=[error.as_dict() for error in errors])


def saved_rows(ctx: Context, request_id: UUID, size: int = AT_ONCE) -> Iterator[Sequence[Any]]:
    """Yield the rows of a saved batch in their order, `size` at a time, with the number and the model of each unit."""
    query = (
        select(
            BatchRow.row_no, BatchRow.unit_id, BatchRow.pcid, BatchRow.sam_uid, BatchRow.sam_perso, Unit.hardware_number,
            DeviceModel.name.label("model"),
        )
        .join(Unit, Unit.id == BatchRow.unit_id)
        .join(DeviceModel, DeviceModel.id == Unit.model_id)
        .where(BatchRow.personalisation_request_id == request_id)
        .order_by(BatchRow.row_no)
        .limit(size)
    )  # fmt: skip
    rows = ctx.session.execute(query).all()
    while rows:
        yield rows
        rows = ctx.session.execute(query.where(BatchRow.row_no > rows[-1].row_no)).all() if len(rows) == size else []


def _units(ctx: Context, numbers: Collection[str], buyer_id: UUID, maker_id: UUID | None) -> dict[str, _Machine]:
    """Return those of the buyer's units of the maker's models that have these numbers, by number.

    Of other makers' units a batch tells nothing, not even that they exist.
    """
    query = (
        select(Unit.id, Unit.hardware_number, Unit.function, Unit.condition, Unit.pcid, Unit.outlet_id, DeviceModel.name)
        .join(DeviceModel, DeviceModel.id == Unit.model_id)
        .where(Unit.organisation_id == buyer_id, DeviceModel.manufacturer_id == maker_id)
        .where(one_of(ctx.session, Unit.hardware_number, numbers))
    )
    return {row.hardware_number: _Machine(*row) for row in ctx.session.execute(query)}


def _twice(lines: list[_Line]) -> Iterator[RowError]:
    for column in NAMED_ONCE:
        for row, first in repeats({line.row: getattr(line, column) for line in lines}).items():
            yield RowError(row, column, same_as(first))


def named_before(ctx: Context, rows: Sequence[Mapping[str, Any]], request_id: UUID) -> list[RowError]:
    """Return an error for each value of these rows that a saved row of the request has already."""
    found: list[RowError] = []
    columns = (BatchRow.unit_id, BatchRow.pcid, BatchRow.sam_uid)
    for name, column in zip(NAMED_ONCE, columns, strict=True):
        named = {row[column.key]: row["row_no"] for row in rows if row[column.key]}
        query = select(column, BatchRow.row_no).where(BatchRow.personalisation_request_id == request_id)
        for value, row in ctx.session.execute(query.where(among(ctx.session, column, list(named)))):
            found.append(RowError(named[value], name, same_as(row)))
    return found


def _mismatches(line: _Line, units: Mapping[str, _Machine]) -> Iterator[RowError]:
    unit = units.get(line.hardware_number)
    if unit is None:
        told = say("The buyer has registered no unit %(number)s of this manufacturer's models.", number=line.hardware_number)
        yield RowError(line.row, "hardware_number", told)
        return
    if unit.model != line.model:
        yield RowError(line.row, "model", say("%(number)s is registered as %(model)s.", number=line.hardware_number, model=unit.model))
    if unit.function != "R":
        told = say("%(number)s is registered for %(function)s; a batch is for R.", number=line.hardware_number, function=unit.function)
        yield RowError(line.row, "hardware_number", told)
    if unit.condition != UnitCondition.WORKING:
        told = say("%(number)s is %(state)s.", number=line.hardware_number, state=unit.condition)
        yield RowError(line.row, "hardware_number", told)
    if unit.pcid is not None and unit.pcid != line.pcid:
        yield RowError(line.row, "pcid", say("%(number)s has another PCID already.", number=line.hardware_number))


def _elsewhere(ctx: Context, lines: list[_Line], units: Mapping[str, _Machine]) -> Iterator[RowError]:
    """Yield an error for a unit that does not stand at the outlet its row names: machines of two branches were mixed up."""
    found = [(line, units[line.hardware_number]) for line in lines if line.outlet and line.hardware_number in units]
    outlets = outlets_by_id(ctx, {unit.outlet_id for _, unit in found if unit.outlet_id})
    for line, unit in found:
        at = outlets.get(unit.outlet_id) if unit.outlet_id else None
        if at is None or not is_called(at, line.outlet):
            yield RowError(line.row, AT.name, say("%(number)s does not stand at this outlet.", number=unit.hardware_number))


def _taken(ctx: Context, lines: list[_Line], units: Mapping[str, _Machine]) -> Iterator[RowError]:
    """Yield an error for a PCID of another unit, a UID that is registered already, and a unit that has a living card.

    Whose unit or card it is, is not told: the words are the same for the maker's own.
    """
    own = [unit.id for unit in units.values()]
    of_pcids = select(Unit.pcid, Unit.id).where(one_of(ctx.session, Unit.pcid, [line.pcid for line in lines]))
    pcids: dict[str | None, UUID] = dict(ctx.session.execute(of_pcids).all())
    uids = set(ctx.session.scalars(select(Card.uid).where(among(ctx.session, Card.uid, [line.sam_uid for line in lines if line.sam_uid]))))
    tied = set(ctx.session.scalars(select(Card.unit_id).where(among(ctx.session, Card.unit_id, own), Card.state.not_in(ENDED))))
    for line in lines:
        unit = units.get(line.hardware_number)
        if unit is None:  # refused already; what else its row names is not told
            continue
        if line.pcid in pcids and pcids[line.pcid] != unit.id:
            yield RowError(line.row, "pcid", "This PCID is taken.")
        if line.sam_uid in uids:
            yield RowError(line.row, "sam_uid", say("%(uid)s is taken.", uid=line.sam_uid))
        if unit.id in tied:
            yield RowError(line.row, "hardware_number", say("%(number)s has a card already.", number=line.hardware_number))
