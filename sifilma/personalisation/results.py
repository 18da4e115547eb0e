"""Results of the personalisation machines. They may come in parts; each row is checked, and key check values are compared with the HSM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from config.settings import Settings
from hsm import HSM
from hsm.derivation import kcv as key_check_value
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.import_table import HARDWARE_NUMBER, SAM_UID, list_of_units, needed
from sifilma.cards.models import CARD, Card, CardState, Unit, UnitCondition
from sifilma.cards.queries import ENDED
from sifilma.cards.service import register_cards
from sifilma.documents.tables.columns import Column, Format, Kind
from sifilma.documents.tables.rows import NO_SHEET, parsed
from sifilma.documents.tables.sheets import Row, RowError, Sheet
from sifilma.documents.tables.templates import Filled
from sifilma.identity.permissions import Operation
from sifilma.kernel import deadline
from sifilma.kernel.context import Context
from sifilma.kernel.db import among, hold, one_of
from sifilma.kernel.errors import Conflict, Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.repeats import repeats, same_as
from sifilma.kernel.text import Text, say
from sifilma.personalisation.blanks import service as blanks
from sifilma.personalisation.models import PERSONALISATION, BatchRow, PersonalisationRequest, PersonalisationResult
from sifilma.personalisation.models import PersonalisationState as State
from sifilma.personalisation.schemas import ResultIn
from sifilma.personalisation.service import KIND, get_request, new_card

OPEN = (State.APPROVED, State.PERSONALISING)
KEYS_AT_ONCE = 500
"""Key check values of one call to the HSM, which has a time-out."""
RESULTS = Format(
    say("Results"),
    (
        needed(SAM_UID),
        Column(
            "outcome",
            say("Outcome"),
            ("Hasil", "Hasil personalisasi", "Result"),
            Kind.CHOICE,
            required=True,
            expected=say("Choose one of the list."),
            example="personalised",
            choices={"personalised": (say("Succeeded"), "Berhasil", "Sukses", "Success"), "failed": (say("Failed"), "Gagal")},
        ),
        replace(HARDWARE_NUMBER, required=False, expected=say("The machine that the card is for. It may stay empty.")),
        Column(
            "kcv",
            say("Key check value (KCV)"),
            ("Nilai uji kunci (KCV)", "Nilai periksa kunci (KCV)", "KCV"),
            Kind.IDENTIFIER,
            expected=say("6 hexadecimal characters (0–9, A–F), as the personalisation machine shows them. It may stay empty."),
            example="8A3F01",
        ),
    ),
)


@dataclass(frozen=True)
class Expected:
    """A card that is still to be personalised, with its UID and the number of its unit. Both are empty if the batch does not name them."""

    sam_uid: str = ""
    hardware_number: str = ""


@dataclass(frozen=True)
class Given:
    """Results as they were given: those that can be read, by row number, the errors of the others, and the sheet they came in."""

    rows: dict[int, ResultIn]
    errors: list[RowError] = field(default_factory=list)
    sheet: Sheet = NO_SHEET


def given_in(ctx: Context, sheet: Sheet) -> Given:
    """Return the results in a table that was read."""
    ctx.warn(sheet.warnings)
    return Given(*parsed(sheet, ResultIn), sheet)


def parse_results(lines: Mapping[int, Mapping[str, str]]) -> Given:
    """Convert lines of text to results, by line number. Empty cells count as not given. Raise Invalid if there is no line."""
    if not lines:
        raise Invalid.field("results", "There is no result to record.")
    return Given(*parsed(Sheet("", [Row(number, dict(cells)) for number, cells in lines.items()]), ResultIn))


def failures(given: Given) -> list[Text]:
    """Return what should be looked at before results are recorded: cards that fail are out of use for good."""
    return told_of_failures([result.sam_uid for result in given.rows.values() if result.outcome == "failed"])


def told_of_failures(uids: Sequence[str]) -> list[Text]:
    """Return the sentence that names failed cards, if there are any."""
    told = say("These cards are recorded as failed, which cannot be undone: %(uids)s.", uids=", ".join(uids))
    return [told] if uids else []


def expected(ctx: Context, request: PersonalisationRequest) -> list[Expected]:
    """Return the cards that are still to be personalised.

    With a batch these are its rows whose unit has no personalised card. Without one they are empty entries, as many as cards are missing.
    """
    if not request.rows:
        return [Expected()] * (request.quantity - personalised(ctx, request))
    numbers = {unit.id: number for number, unit in _units_by_number(ctx, request).items()}
    cards = list(ctx.session.scalars(select(Card).where(Card.personalisation_request_id == request.id)))
    known = {card.uid for card in cards if card.state != CardState.REGISTERED}
    done = {card.unit_id for card in cards if card.state not in (CardState.REGISTERED, *ENDED)}
    return [
        Expected(row.sam_uid if row.sam_uid and row.sam_uid not in known else "", numbers[row.unit_id])
        for row in request.rows
        if row.unit_id not in done
    ]


def template(ctx: Context, request: PersonalisationRequest) -> Filled:
    """Return a table for results with a row for each card that is still to be personalised, and the units they may be for."""
    coming = expected(ctx, request)
    rows = [{"sam_uid": row.sam_uid, "hardware_number": row.hardware_number} for row in coming]
    named = {row.hardware_number for row in coming if row.hardware_number}
    units = [unit for number, unit in sorted(_units_by_number(ctx, request).items()) if not named or number in named]
    return Filled(RESULTS, rows, guided=True, lookups=[list_of_units(units)])


def add_results(ctx: Context, settings: Settings, hsm: HSM, request_id: UUID, given: Given) -> PersonalisationRequest:
    """Record results, all or none. Return the request.

    The first results make the request `personalising`; those that complete its quantity make it `completed`. A failed card becomes
    `damaged`, and another card can take its place in the quantity. Raise NotFound outside the actor's scope, Conflict if the request takes
    no results in its state, Invalid with every error of every row, and the errors of the HSM (`hsm.errors`).
    """
    request, results = get_request(ctx, request_id, Operation.PERSONALISE), list(given.rows.values())
    deadline.allow_for(len(results))
    require_open(request)
    kcvs = check_values(ctx, settings, hsm, results)
    ctx.uow.begin_write()
    return settle_results(ctx, settings, request_id, given, kcvs)


def settle_results(ctx: Context, settings: Settings, request_id: UUID, given: Given, kcvs: Mapping[str, str]) -> PersonalisationRequest:
    """Record results whose key check values the HSM has told, all or none. Raise as `add_results` does. The cost is that of the results."""
    results = list(given.rows.values())
    request = get_request(ctx, request_id, Operation.PERSONALISE)
    hold(ctx.session, request)  # otherwise two concurrent files would each see too few results
    require_open(request)
    named = among(ctx.session, Card.uid, [result.sam_uid for result in results])
    cards = {card.uid: card for card in ctx.session.scalars(select(Card).where(named, Card.personalisation_request_id == request.id))}
    units = _units_named(ctx, request, results)
    errors = [*given.errors, *_errors(ctx, request, given.rows, cards, units, kcvs), *_ledger_errors(ctx, settings, request, given)]
    if too_many := _too_many(ctx, request, results):
        raise Invalid("Some results cannot be accepted; nothing was saved.", errors=[*given.sheet.located(errors), too_many])
    if errors:
        raise Invalid("Some results cannot be accepted; nothing was saved.", errors=given.sheet.located(errors))
    return _save(ctx, settings, request, results, cards, units, kcvs)


def require_open(request: PersonalisationRequest) -> None:
    """Raise Conflict if the request takes no results in its state."""
    if request.state not in OPEN:
        raise Conflict(say("A request that is %(state)s takes no results.", state=request.state), state=request.state)


def check_values(ctx: Context, settings: Settings, hsm: HSM, results: Sequence[ResultIn]) -> dict[str, str]:
    """Return the key check value (6 hex) of each personalised card by UID, from the HSM.

    A registered card has a key version; a new one gets that of the settings. The reading transaction is ended: no HSM call inside one
    (docs/architecture.md, rule 3). So a request is read again afterwards, and checked again.
    """
    current = settings.master_version
    named = among(ctx.session, Card.uid, [result.sam_uid for result in results])
    versions: dict[str, int] = dict(ctx.session.execute(select(Card.uid, Card.key_version).where(named)).all())
    ctx.uow.end_read()
    uids = [result.sam_uid for result in results if result.outcome == "personalised"]
    values: dict[str, str] = {}
    for start in range(0, len(uids), KEYS_AT_ONCE):
        wanted = [(uid, versions.get(uid, current)) for uid in uids[start : start + KEYS_AT_ONCE]]
        keys = hsm.run(lambda do, wanted=wanted: [do.derive_open_key(version, bytes.fromhex(uid)) for uid, version in wanted])  # type: ignore[misc]  # mypy cannot infer the default
        values |= {uid: key_check_value(key) for (uid, _), key in zip(wanted, keys, strict=True)}
    return values


def _units_named(ctx: Context, request: PersonalisationRequest, results: Sequence[ResultIn]) -> dict[str, Unit]:
    """Return the units that results name, by number."""
    numbers = {result.hardware_number for result in results if result.hardware_number}
    named = one_of(ctx.session, Unit.hardware_number, numbers)
    of_request = (Unit.organisation_id == request.buyer_id, Unit.function == request.function)
    return {unit.hardware_number: unit for unit in ctx.session.scalars(select(Unit).where(named, *of_request))}


def _units_by_number(ctx: Context, request: PersonalisationRequest) -> dict[str, Unit]:
    rows = ctx.session.scalars(select(Unit).where(Unit.organisation_id == request.buyer_id, Unit.function == request.function))
    return {unit.hardware_number: unit for unit in rows}


def _errors(
    ctx: Context,
    request: PersonalisationRequest,
    rows: Mapping[int, ResultIn],
    cards: dict[str, Card],
    units: dict[str, Unit],
    kcvs: Mapping[str, str],
) -> Iterator[RowError]:
    results = list(rows.values())
    of_batch = select(BatchRow.unit_id).where(BatchRow.personalisation_request_id == request.id)
    has_batch = ctx.session.scalar(of_batch.limit(1)) is not None
    ids = [unit.id for unit in units.values()]
    in_batch = set(ctx.session.scalars(of_batch.where(among(ctx.session, BatchRow.unit_id, ids)))) if has_batch else None
    tied = _tied(ctx, ids)
    elsewhere = set(ctx.session.scalars(select(Card.uid).where(among(ctx.session, Card.uid, [r.sam_uid for r in results])))) - set(cards)
    working = {row: result.hardware_number for row, result in rows.items() if result.outcome == "personalised"}
    again, same_unit = repeats({row: result.sam_uid for row, result in rows.items()}), repeats(working)
    for row, result in rows.items():
        if row in again:
            yield RowError(row, "sam_uid", same_as(again[row]))
            continue
        if row in same_unit:
            yield RowError(row, "hardware_number", same_as(same_unit[row]))
        for column, message in _row_errors(result, cards, units, kcvs, in_batch, tied, elsewhere):
            yield RowError(row, column, message)


def _ledger_errors(ctx: Context, settings: Settings, request: PersonalisationRequest, given: Given) -> list[RowError]:
    """Return what is wrong by the ledger of blanks. Unless a setting demands the ledger it is warned of, and refuses nothing."""
    wrong = blanks.result_faults(ctx, request.id, {row: result.sam_uid for row, result in given.rows.items()})
    if settings.blank_ledger_required:
        return [RowError(row, "sam_uid", told) for row, told in wrong.items()]
    ctx.warn(wrong.values())
    return []


def _too_many(ctx: Context, request: PersonalisationRequest, results: list[ResultIn]) -> dict[str, Any] | None:
    done = personalised(ctx, request) + sum(1 for result in results if result.outcome == "personalised")
    if done <= request.quantity:
        return None
    told = say("That would make %(count)s cards; %(approved)s were approved.", count=done, approved=request.quantity)
    return {"field": "results", "message": told}


def _tied(ctx: Context, units: Sequence[UUID]) -> dict[UUID, str]:
    """Return the UID of the living card of each unit that has one."""
    named = among(ctx.session, Card.unit_id, units)
    rows = ctx.session.execute(select(Card.unit_id, Card.uid).where(named, Card.state.not_in(ENDED)))
    return {unit_id: uid for unit_id, uid in rows if unit_id is not None}


def _row_errors(
    result: ResultIn,
    cards: dict[str, Card],
    units: dict[str, Unit],
    kcvs: Mapping[str, str],
    in_batch: set[UUID] | None,
    tied: dict[UUID, str],
    elsewhere: set[str],
) -> Iterator[tuple[str, str]]:
    card = cards.get(result.sam_uid)
    if result.sam_uid in elsewhere:
        yield "sam_uid", say("%(uid)s belongs to another request.", uid=result.sam_uid)
    elif card is not None and card.state != CardState.REGISTERED:
        yield "sam_uid", say("%(uid)s has a result already.", uid=result.sam_uid)
    if result.kcv and result.outcome == "personalised" and result.kcv != kcvs[result.sam_uid]:
        yield "kcv", say("The key check value is not the HSM's: %(uid)s was personalised with another key.", uid=result.sam_uid)
    if result.hardware_number is None:
        if in_batch is not None and card is None:
            yield "hardware_number", say("A card the batch does not name needs the unit it is for.")
        return
    unit = units.get(result.hardware_number)
    if unit is None or (in_batch is not None and unit.id not in in_batch):
        yield "hardware_number", say("%(number)s is no unit of this request.", number=result.hardware_number)
    elif result.outcome == "personalised" and tied.get(unit.id, result.sam_uid) != result.sam_uid:
        yield "hardware_number", say("%(number)s has another card already.", number=result.hardware_number)
    elif card is not None and card.unit_id not in (None, unit.id):
        yield "hardware_number", say("%(uid)s is tied to another unit.", uid=result.sam_uid)
    elif unit.condition != UnitCondition.WORKING and (card is None or card.unit_id is None):
        yield "hardware_number", say("%(number)s is %(state)s.", number=result.hardware_number, state=unit.condition)


def personalised(ctx: Context, request: PersonalisationRequest) -> int:
    """Return how many cards of the request are personalised: the greatest of their places, which are numbered without a gap."""
    query = select(func.max(PersonalisationResult.place)).where(PersonalisationResult.personalisation_request_id == request.id)
    return ctx.session.scalar(query) or 0


def _save(
    ctx: Context,
    settings: Settings,
    request: PersonalisationRequest,
    results: list[ResultIn],
    cards: dict[str, Card],
    units: dict[str, Unit],
    kcvs: Mapping[str, str],
) -> PersonalisationRequest:
    new = [new_card(ctx, settings, request, result.sam_uid, None) for result in results if result.sam_uid not in cards]
    if new:
        register_cards(ctx, new)
    cards |= {card.uid: card for card in new}
    places = count(personalised(ctx, request) + 1)
    made = [
        PersonalisationResult(
            id=uuid7(),
            personalisation_request_id=request.id,
            card_id=cards[result.sam_uid].id,
            outcome=result.outcome,
            hardware_number=result.hardware_number or "",
            kcv=kcvs.get(result.sam_uid, ""),
            place=next(places) if result.outcome == "personalised" else None,
        )
        for result in results
    ]
    act = record(ctx, Action.PERSONALISATION_RESULTS, KIND, request.id, organisation_id=request.requester_id, rows=made, count=len(results))
    for one in made:
        one.act_id = act.id
    ctx.session.add_all(made)
    # Results are flushed before the steps of the cards: the trigger `card_quantity` wants that of each.
    ctx.session.flush()
    # Unit, KCV and step are one UPDATE. Failed cards come first, one by one: the unit of each is then free for another card.
    failed, good = ([one for one in results if one.outcome == outcome] for outcome in ("failed", "personalised"))
    for result in failed:
        CARD.move(ctx.session, _filled(cards[result.sam_uid], result, units, kcvs), CardState.DAMAGED, act, say("Personalisation failed."))
    ctx.session.flush()
    made_cards = [_filled(cards[result.sam_uid], result, units, kcvs) for result in good]
    CARD.move_all(ctx.session, made_cards, CardState.PERSONALISED, act)
    outcomes = {result.sam_uid: result.outcome for result in results}
    blanks.settle_results(ctx, settings.blank_low_stock, request.id, outcomes, act)
    _advance(ctx, request, act)
    ctx.session.flush()
    return request


def _filled(card: Card, result: ResultIn, units: dict[str, Unit], kcvs: Mapping[str, str]) -> Card:
    """Return the card with what its result says of it."""
    if result.hardware_number:
        card.unit_id = units[result.hardware_number].id
    card.kcv = kcvs.get(result.sam_uid, "")
    return card


def _advance(ctx: Context, request: PersonalisationRequest, act: Any) -> None:
    if personalised(ctx, request) >= request.quantity:
        PERSONALISATION.move(ctx.session, request, State.COMPLETED, act)
    elif request.state == State.APPROVED:
        PERSONALISATION.move(ctx.session, request, State.PERSONALISING, act)
