"""Fill an installation with the nation: the acts of all lots, by as many processes as there are cores, and the log over them."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import insert, select, text

from hsm.token import Operations
from sifilma.activation.derived.tasks import add_up
from sifilma.activation.models import DataKey, StatusList
from sifilma.activation.tokens import sealing
from sifilma.audit import checkpoints, sequencing
from sifilma.audit.store import StoredTree, log_size
from sifilma.demo import facts
from sifilma.documents.numbering import next_number
from sifilma.handover.service import SERIES
from sifilma.identity.models import Organisation
from sifilma.kernel.context import Context
from sifilma.kernel.db import db
from sifilma.kernel.ids import uuid7
from sifilma.regions import villages
from sifilma.resources import resources
from sifilma.schema import tables
from tests.benchmarks.nation import installation, plan
from tests.benchmarks.nation.life import Life, Nation
from tests.benchmarks.nation.plan import Lot, Party
from tests.benchmarks.nation.rows import ORDER, Rows, store
from tests.support.world import World, letter

CARDS_AT_ONCE = 2_000
"""Cards in one transaction."""
TALLIED_AT_ONCE = 2_000_000
"""Changes that are counted in one transaction: the more, the fewer times a row of a tally is written."""
EVERY = 20
"""Seconds after which the progress is told."""
NEEDS = "The database's user needs to load rows without triggers: GRANT SET ON PARAMETER session_replication_role TO it."
TALLIED = (
    "INSERT INTO card_tally_change (holder_id, buyer_id, unit_id, state, amount) SELECT holder_id, buyer_id, unit_id, state, 1 FROM card",
    *(
        f"INSERT INTO reader_change (activation_id, former_state, state) SELECT activation_id, {states} FROM manifest WHERE {which}"
        for states, which in (("'', 'active'", "true"), ("'active', state", "state <> 'active'"))
    ),
)
"""What triggers note of each row: the worker's own job makes the tallies of it."""
FREE = (
    "INSERT INTO free_unit (unit_id, organisation_id, model_id, function, hardware_number, condition)"
    " SELECT u.id, u.organisation_id, u.model_id, u.function, u.hardware_number, u.state FROM unit u LEFT JOIN card c"
    " ON c.unit_id = u.id AND c.state NOT IN ('damaged', 'locked', 'revoked', 'destroyed') WHERE c.id IS NULL"
)
"""What triggers keep: the units without a living card."""
_task: dict[str, Any] = {}
"""What the processes share. They are forked after it is set."""


def fill(world: World, cards: int, seed: int, now: datetime, tell: Callable[[str], None], processes: int | None = None) -> None:
    """Fill a new installation. Its clock stands at the beginning of the nation before, and at `now` afterwards."""
    begun = time.monotonic()

    def told(what: str) -> None:
        tell(f"{time.monotonic() - begun:7.1f} s  {what}")

    encoder, makers = installation.encoder(world), installation.makers(world)
    buyers = installation.buyers(world, cards, now, seed)
    told(f"{len(world.organisations):,} organisations")
    draw = Random(f"{seed}/places")
    for buyer, wanted in buyers:
        buyer.places = installation.places(world, buyer, wanted, draw)
    lots = list(plan.lots(buyers, makers, encoder, seed, now))
    _sequence(world)
    first = _outlets(world, [buyer for buyer, _ in buyers], seed)
    nation = _nation(world, lots, seed, now)
    begins = _begins(lots, seed, now, first)
    told(f"{len(lots):,} lots, {len(nation.keys):,} data keys, {begins[-1][0]:,} entries to come")
    _write(world, nation, lots, begins, _numbers(world, lots, now), told, processes or os.cpu_count() or 1)
    _conclude(world, begins[-1][1])
    told("log, status lists, statistics")
    require_keys(world)
    world.clock.set(now)
    _tally(world)
    told("tallies")
    with world.context() as ctx:
        checkpoints.sign(ctx, world.settings, world.hsm, now=True)
    told("every foreign key holds, the log is signed")


def _sequence(world: World) -> None:
    """Take what was recorded so far into the log."""
    while True:
        with world.context() as ctx:
            if sequencing.append(ctx) < sequencing.BATCH:
                return


def _connect(world: World) -> psycopg.Connection[Any]:
    """Connect as a session in which neither triggers nor foreign keys are checked: `fsck` and `require_keys` check the outcome."""
    connection = psycopg.connect(world.settings.database.replace("+psycopg", ""))
    try:
        connection.execute("SET session_replication_role = replica")
    except psycopg.errors.InsufficientPrivilege:
        raise SystemExit(NEEDS) from None
    connection.execute("SET synchronous_commit = off")
    connection.commit()
    return connection


def _outlets(world: World, buyers: Iterable[Party], seed: int) -> int:
    """Register the outlets of companies, and return the place in the log of the next entry."""
    with world.context() as ctx:
        rows = Rows(log_size(ctx.session), Random(f"{seed}/outlets"))
    at = world.start + timedelta(hours=1)
    for buyer in buyers:
        if buyer.region is not None:
            continue
        for number, place in enumerate(buyer.places):
            outlet = rows.ids.new(at)
            row = {
                "id": outlet,
                "organisation_id": str(buyer.id),
                "name": f"Gerai {number + 1:03d}",
                "branch_code": f"{number + 1:03d}",
                "address": place.address,
                "region_code": place.code,
                "latitude_e7": place.latitude_e7,
                "longitude_e7": place.longitude_e7,
                "created_at": at.isoformat(timespec="microseconds"),
            }
            thing, name = ("outlet", outlet), row["name"]
            stamp = rows.recording(at, buyer.head, "outlet.register", thing, str(buyer.id), [("outlet", row)], name=name)
            rows.put("outlet", contact_name="", contact_phone="", contact_email="", state="open", **row, **stamp)
            rows.step("outlet", outlet, "", "open", stamp)
            buyer.places[number] = replace(place, outlet=outlet)
    with _connect(world) as connection:
        store(connection, rows.lines)
    return rows.seq


def _nation(world: World, lots: Sequence[Lot], seed: int, now: datetime) -> Nation:
    held = resources(world.app)
    table = b"Nomor mesin;PCID\n"
    papers = {"letter": letter(), "purchase_order": letter(), "batch": table}
    points, trust = villages.points(), world.trust
    with world.context() as ctx:
        files = {kind: (held.files.put(ctx.session, data), len(data)) for kind, data in papers.items()}
    return Nation(
        settings=world.settings, hsm=world.hsm, now=now, seed=seed,
        directorate=installation.parties(world)[facts.DIRECTORATE],
        operator=installation.person(world, "operator1"),
        approvers=(installation.person(world, "penyetuju1"), installation.person(world, "penyetuju2")),
        place_source=(points.name, points.sha256), kid=trust.signing_kid(world.hsm, "manifest-sign", "manifest", now), epoch=trust.epoch,
        files=files,
        keys=_data_keys(world, lots, now),
    )  # fmt: skip


@dataclass(frozen=True)
class _Sealing:
    """Data keys to be sealed in one call to the HSM: organisation, month, id, key."""

    keys: list[tuple[str, str, UUID, bytes]]

    def __call__(self, do: Operations) -> list[bytes]:
        """Return them sealed."""
        return [sealing.seal_key(do, UUID(owner), month, raw) for owner, month, _, raw in self.keys]


def _data_keys(world: World, lots: Iterable[Lot], now: datetime) -> dict[tuple[str, str], tuple[str, AESGCM]]:
    """Make the data keys of every organisation and month in which it got tokens or manifests."""
    wanted = sorted({
        (str(lot.buyer.id), sealing.month_of(lot.moments["entitled"] + timedelta(days=later)))
        for lot in lots if lot.happened("entitled", now) for later in (0, plan.TOKEN_DAYS + 1)
    })  # fmt: skip
    found: dict[tuple[str, str], tuple[str, AESGCM]] = {}
    rows: list[dict[str, Any]] = []
    for start in range(0, len(wanted), 500):
        part = [(owner, month, uuid7(), os.urandom(32)) for owner, month in wanted[start : start + 500]]
        for (owner, month, key, raw), sealed in zip(part, world.hsm.run(_Sealing(part)), strict=True):
            found[owner, month] = (str(key), AESGCM(raw))
            rows.append({"id": key, "organisation_id": UUID(owner), "month": month, "sealed": sealed})
    with world.context() as ctx:
        if rows:
            ctx.session.execute(insert(DataKey), rows)
    return found


def _begins(lots: Iterable[Lot], seed: int, now: datetime, seq: int) -> list[tuple[int, int]]:
    """Return for each lot, and after the last, the place of its first entry in the log and the first index of its tokens."""
    found, index = [(seq, 0)], 0
    for lot in lots:
        seq += plan.entries(lot, seed, now)
        index += lot.size if lot.happened("entitled", now) else 0
        found.append((seq, index))
    return found


def _numbers(world: World, lots: Sequence[Lot], now: datetime) -> dict[int, list[str]]:
    """Number the BASTs in the order in which they were issued."""
    found: dict[int, list[str]] = {lot.number: [] for lot in lots}
    steps = [(lot.moments[step], lot, step) for lot in lots for step in ("issued", "passed_on") if lot.happened(step, now)]
    with world.context() as ctx:
        issuers = {one.id: one for one in ctx.session.scalars(select(Organisation))}
        central = issuers[world.organisations[facts.DIRECTORATE]]
        for at, lot, step in sorted(steps, key=lambda one: one[0]):
            issuer = central if step == "issued" else issuers[lot.requester.id]
            found[lot.number].append(next_number(ctx.session, at, SERIES, issuer))
    return found


def _write(world: World, nation: Nation, lots: Sequence[Lot], begins: Sequence[tuple[int, int]], numbers: dict[int, list[str]],
           told: Callable[[str], None], processes: int) -> None:  # fmt: skip
    """Write all lots. Each process takes the next of the parts, and writes it in one transaction."""
    _task.update(world=world, nation=nation, lots=lots, begins=begins, numbers=numbers)
    parts: list[list[int]] = [[]]
    size = 0
    for lot in lots:
        parts[-1].append(lot.number)
        size += lot.size
        if size >= CARDS_AT_ONCE:
            parts, size = [*parts, []], 0
    with world.app.app_context():
        db.engine.dispose()
    world.hsm.close()
    done, last = 0, time.monotonic()
    for count in map(_part, parts) if processes == 1 else _side_by_side(parts, processes):
        done += count
        if time.monotonic() - last > EVERY:
            last = time.monotonic()
            told(f"{done:,} cards")
    told(f"{done:,} cards")


def _side_by_side(parts: Sequence[list[int]], processes: int) -> Iterator[int]:
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap_unordered(_part, parts)


def _part(numbers: list[int]) -> int:
    """Write some lots; return how many cards they made."""
    world, lots, begins = _task["world"], _task["lots"], _task["begins"]
    if "connection" not in _task:
        _task["connection"] = _connect(world)
    lines: dict[str, list[str]] = {}
    count = 0
    for number in numbers:
        seq, index = begins[number]
        rows = Life(_task["nation"], lots[number], seq, _task["numbers"][number], index).write()
        assert rows.seq == begins[number + 1][0], f"lot {number} has other entries than were counted"
        for table, made in rows.lines.items():
            lines.setdefault(table, []).extend(made)
        count += len(rows.lines.get("card", ()))
    with _task["connection"].transaction():
        store(_task["connection"], lines)
    return count


@contextmanager
def _patient(world: World) -> Iterator[Context]:
    """Give a context whose statements may take long: the usual seconds are for requests."""
    with world.context() as ctx:
        ctx.session.execute(text("SET LOCAL statement_timeout = '1h'"))
        yield ctx


def _conclude(world: World, tokens: int) -> None:
    """Write the subtrees of the log and the status lists."""
    if "connection" in _task:
        _task.pop("connection").close()
    with _patient(world) as ctx:
        known = _first_loaded(ctx.session)
        frontier, size = StoredTree(ctx.session).frontier(known), world.settings.status_list_size
    with _connect(world) as reading, _connect(world) as writing:
        with reading.cursor("leaves") as cursor, writing.cursor().copy("COPY log_node (height, idx, hash) FROM STDIN") as copy:
            cursor.itersize = 50_000
            cursor.execute("SELECT hash FROM log_leaf WHERE seq >= %s ORDER BY seq", (known,))
            for (leaf,) in cursor:
                for (height, index), made in frontier.append(leaf):
                    copy.write(f"{height}\t{index}\t\\\\x{made.hex()}\n")
        writing.commit()
    with _patient(world) as ctx:
        for number in range((tokens + size - 1) // size):
            taken = min(size, tokens - number * size)
            changes = ctx.session.scalar(
                text("SELECT COUNT(*) FROM manifest WHERE status_list = :n AND state <> 'active'"), {"n": number + 1}
            )
            values = {"number": number + 1, "size": size, "next_index": taken, "changes": 1 + (changes or 0)}
            ctx.session.execute(insert(StatusList).values(values))
    _analyse(world)


def _analyse(world: World, how: LiteralString = "ANALYZE") -> None:
    """Gather the planner's statistics. VACUUM notes besides which blocks hold only what all see, as autovacuum does in time."""
    with psycopg.connect(world.settings.database.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(how)


def _tally(world: World) -> None:
    """Note what triggers would have noted, and let the worker's own job count it."""
    with _patient(world) as ctx:
        for statement in (*TALLIED, FREE):
            ctx.session.execute(text(statement))
    while True:
        with _patient(world) as ctx:
            if not add_up(ctx, resources(world.app).targets.calendar, TALLIED_AT_ONCE):
                break
    _analyse(world, "VACUUM ANALYZE")


def _first_loaded(session: Any) -> int:
    """Return the place of the first leaf that was loaded: those before it have their subtrees."""
    first = "SELECT MIN(l.seq) FROM log_leaf l JOIN audit_entry e ON e.id = l.entry_id WHERE e.request_id = 'nation'"
    return int(session.scalar(text(first)))


def require_keys(world: World) -> None:
    """Raise if a row names one that is not there: the foreign keys were not checked while rows were loaded."""
    wrong = []
    with psycopg.connect(world.settings.database.replace("+psycopg", "")) as connection:
        for name in ORDER:
            for key in tables.METADATA.tables[name].foreign_keys:
                column, other = key.parent.name, key.column
                query = (
                    f"SELECT 1 FROM {name} a LEFT JOIN {other.table.name} b ON b.{other.name} = a.{column}"  # names of the schema
                    f" WHERE a.{column} IS NOT NULL AND b.{other.name} IS NULL LIMIT 1"
                )
                if connection.execute(query.encode()).fetchone():
                    wrong.append(f"{name}.{column}")
    if wrong:
        raise AssertionError(f"these name rows that are not there: {', '.join(wrong)}")
