"""Sheets about activation by file: the one to fill in, the results, and the failed rows with their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import select

from config.settings import Settings
from hsm import HSM
from sifilma.activation.models import Activation, Manifest
from sifilma.activation.requests import form_choices
from sifilma.activation.tokens import service as tokens
from sifilma.cards.identifiers import normalise_uid
from sifilma.cards.import_table import HARDWARE_NUMBER, OUTLET, SAM_UID, list_of_outlets, list_of_units, needed
from sifilma.cards.models import Card, Unit
from sifilma.cards.outlets.queries import own_outlets
from sifilma.cards.queries import units_query
from sifilma.documents.tables.columns import Column, Format, Kind
from sifilma.documents.tables.lookups import village_codes
from sifilma.documents.tables.templates import Filled, Say
from sifilma.jobs.failed_rows import Sheet, cells_of, corrected, in_one, rows_given_back
from sifilma.jobs.models import Job, JobRow
from sifilma.kernel.context import Context
from sifilma.kernel.db import one_of
from sifilma.kernel.text import say

SOURCE = {
    "device": (say("From the device"), "Dari perangkat", "Perangkat", "Device"),
    "map": (say("Chosen on the map"), "Dipilih pada peta", "Peta", "Map"),
    "typed": (say("Typed"), "Diketik", "Ketik"),
}
ACTIVATIONS = Format(
    say("Activations"),
    (
        needed(SAM_UID),
        Column(
            "token",
            say("Token of the SAM card"),
            ("Token kartu SAM", "Token"),
            Kind.IDENTIFIER,
            required=True,
            expected=say("10 letters and digits; capitals matter."),
            example="Ab3dE5fG7h",
        ),
        HARDWARE_NUMBER,
        replace(
            OUTLET,
            expected=say("In place of position, address and village: branch code or name of an outlet. It may stay empty."),
        ),
        Column(
            "latitude",
            say("Latitude"),
            ("Lintang", "Garis lintang", "Lat"),
            Kind.NUMBER,
            required=True,
            instead=OUTLET.name,
            expected=say("Degrees; south of the equator with a minus: −7.6536"),
            example="-7.6536",
        ),
        Column(
            "longitude",
            say("Longitude"),
            ("Bujur", "Garis bujur", "Lon", "Long"),
            Kind.NUMBER,
            required=True,
            instead=OUTLET.name,
            expected=say("Degrees: 111.3280"),
            example="111.3280",
        ),
        Column(
            "accuracy_m",
            say("Accuracy (m)"),
            ("Akurasi (m)", "Ketelitian (m)", "Accuracy in metres"),
            Kind.NUMBER,
            expected=say("Accuracy of the position in metres. It may stay empty."),
            example="10",
        ),
        Column(
            "source",
            say("Source of the position"),
            ("Sumber koordinat", "Sumber posisi", "Sumber"),
            Kind.CHOICE,
            expected=say("Choose one of the list. It may stay empty."),
            example="device",
            choices=SOURCE,
        ),
        Column(
            "address",
            say("Address"),
            ("Alamat",),
            required=True,
            instead=OUTLET.name,
            expected=say("Street and number, building, floor: where the machine stands."),
            example="Jl. Merdeka 1",
        ),
        Column(
            "region_code",
            say("Village code"),
            ("Kode desa/kelurahan", "Kode desa", "Kode kelurahan", "Kode wilayah", "Region code", "Desa/Kelurahan"),
            Kind.CODE,
            required=True,
            instead=OUTLET.name,
            expected=say("The code of the village, with or without its name: choose one of the list, or search the sheet of codes."),
            example="35.20.06.1014",
        ),
        Column(
            "reason",
            say("Reason"),
            ("Alasan",),
            expected=say("Only where the position does not lie in that village: why the machine stands there all the same."),
        ),
    ),
)
SECRET = "token"  # noqa: S105  # a column's name
AT_ONCE = 500
RESULT = ("row", "sam_uid", "hardware_number", "outcome", "manifest", "seq", "expires_at", "activation", "error")


def template(ctx: Context, shown: Mapping[str, str] | None = None, region: str = "") -> Filled:
    """Return a table with one row for each card of the organisation that can be activated. `shown` are tokens by UID.

    A card that is tied to a machine gets that machine. For the others the free machines of their function are proposed in order. The
    look-up sheets have the machines, and the villages of the organisation's jurisdiction, or else of `region`.
    """
    cards = form_choices.open_cards(ctx)
    machines = {function: form_choices.free_machines(ctx, function) for function in {card.function for card in cards}}
    free = {function: iter(numbers) for function, numbers in machines.items()}
    rows = [
        {"sam_uid": card.uid, SECRET: (shown or {}).get(card.uid, ""), "hardware_number": card.unit or next(free[card.function], "")}
        for card in cards
    ]
    numbers = {row["hardware_number"] for row in rows}.union(*machines.values())
    units = ctx.session.scalars(units_query(ctx).where(one_of(ctx.session, Unit.hardware_number, numbers)).order_by(Unit.hardware_number))
    lookups = (list_of_units(units), *list_of_outlets(own_outlets(ctx)), *village_codes(ctx, "region_code", region))
    return Filled(ACTIVATIONS, rows, guided=True, lookups=lookups)


def template_with_tokens(ctx: Context, hsm: HSM, region: str = "") -> Filled:
    """Return the same table with the tokens in clear, which is recorded."""
    return template(ctx, tokens.reveal_for_cards(ctx, hsm, [card.uid for card in form_choices.open_cards(ctx)]), region)


def corrected_with_tokens(ctx: Context, settings: Settings, hsm: HSM, job: Job, say: Say) -> Filled:
    """Return the rows given back with the open tokens of their cards, which the job does not store. This is recorded."""
    uids = {row.number: uid_of(cells_of(settings, row).get("sam_uid", "")) for row in rows_given_back(ctx, job)}
    shown = tokens.reveal_for_cards(ctx, hsm, {uid for uid in uids.values() if uid})
    secrets = {number: {SECRET: shown[uid]} for number, uid in uids.items() if uid in shown}
    return corrected(ctx, settings, job, ACTIVATIONS, say, secrets)


def uid_of(typed: str) -> str:
    """Return a UID as it is stored, or an empty text for what is none."""
    try:
        return normalise_uid(typed)
    except ValueError:
        return ""


def result(ctx: Context, settings: Settings, job: Job, say: Say = str) -> Sheet:
    """Return the result of every row that has one."""
    return Sheet(RESULT, _results(ctx, settings, job, say))


def _results(ctx: Context, settings: Settings, job: Job, say: Say) -> Iterator[Sequence[object]]:
    after = 0
    while True:
        query = select(JobRow).where(JobRow.job_id == job.id, JobRow.number > after).order_by(JobRow.number).limit(AT_ONCE)
        rows = list(ctx.session.scalars(query))
        made = _made(ctx, [row.result_id for row in rows if row.result_id is not None])
        for row in rows:
            if row.result_id is not None:
                yield (row.number, *made[row.result_id], "")
            else:
                cells = cells_of(settings, row)
                yield (row.number, cells.get("sam_uid", ""), cells.get("hardware_number", ""), "error", "", "", "", "", in_one(row, say))
        if len(rows) < AT_ONCE:
            return
        after = rows[-1].number


def _made(ctx: Context, ids: Sequence[UUID]) -> dict[UUID, tuple[object, ...]]:
    """Return activations by id, as columns of the result."""
    query = (
        select(Activation.id, Card.uid, Unit.hardware_number, Manifest.id, Manifest.seq, Manifest.expires_at)
        .join(Card, Card.id == Activation.card_id)
        .join(Unit, Unit.id == Activation.unit_id)
        .join(Manifest, Manifest.id == Activation.manifest_id)
        .where(Activation.id.in_(ids))
    )
    return {
        found: (uid, hardware, "activated", str(manifest), seq, ends.isoformat(), str(found))
        for found, uid, hardware, manifest, seq, ends in ctx.session.execute(query)
    }
