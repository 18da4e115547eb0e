"""Measure every page, list, search and API read at the size that is there: `python -m tests.benchmarks.nation.measure`.

Of each it prints the CPU of this process and of the database, the blocks that its statements touch, and which large table one of them
reads from end to end.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from sifilma.commands.practice import settings_with_secrets
from sifilma.kernel.db import db
from tests.benchmarks import server
from tests.benchmarks.nation import figures
from tests.benchmarks.nation.installation import installed
from tests.support.world import MAGETAN_PLACE, Client, World, done

LARGE = (
    "activation", "activation_request", "activation_request_card", "activation_tally", "audit_entry", "batch_row", "card", "card_tally",
    "free_unit", "handover", "handover_card", "history", "log_leaf", "log_node", "manifest", "outlet", "personalisation_request",
    "personalisation_result", "reader_tally", "row_digest", "stage_tally", "token", "unit",
)  # fmt: skip
"""Tables that grow with the cards."""
ROUNDS = 4
"""Rounds of activations. The first makes the month's data key, and PostgreSQL's plans."""
FEW = 1_000
"""Rows among which one is soon found."""
SEARCHES = ("{uid}", "{part}", "{hardware}", "{pcid}", "{letter}", "{bast}", "ZZQX-NONE", "%%%", "///", "154", "BANK", "kepala0")
READS = ("/cards", "/units", "/manifests", "/activation-requests", "/personalisation-requests", "/handovers", "/outlets", "/audit",
         "/organisations", "/jobs", "/destructions", "/activations", "/cards?state=active", "/cards?function=RW", "/units?state=free",
         "/manifests?state=active", "/cards/{card}", "/units/{unit}", "/manifests/{manifest}")  # fmt: skip
EXPORTS = ("/kartu?unduh=csv", "/unit?unduh=csv", "/manifest?unduh=csv", "/bast?unduh=csv", "/jejak?unduh=csv")
"""Lists as files, of up to 100,000 rows: they are measured once, and by the row."""


@dataclass
class Found:
    """One page: milliseconds of CPU here and in the database, blocks, and what its statements do that grows with the tables.

    Of a list as a file the milliseconds are those of 1,000 rows, of which it has `rows`.
    """

    page: str
    status: int
    cpu_ms: float = 0.0
    database_ms: float = 0.0
    wall_ms: float = 0.0
    statements: int = 0
    blocks: int = 0
    slow_ms: float = 0.0
    whole: list[str] = field(default_factory=list)
    slowest: str = ""
    rows: int = 0


def people(world: World) -> dict[str, str]:
    """Return one person of each kind, by what they are."""
    with world.context() as ctx:
        query = (
            "SELECT u.username FROM user_account u JOIN organisation o ON o.id = u.organisation_id"
            " WHERE o.name = :name ORDER BY u.id LIMIT 1"
        )
        bank = ctx.session.execute(text(query), {"name": figures.READERS[0][0]}).scalar_one()
    return {"approver": "penyetuju1", "operator": "operator1", "auditor": "auditor1", "bank": bank, "maker": "softorb.kepala",
            "province": "jatim.kepala", "regency": "magetan.kepala"}  # fmt: skip


def words(world: World) -> dict[str, str]:
    """Return what is searched for: of a card of the bank."""
    one = (
        "SELECT c.uid, u.hardware_number, u.pcid, r.letter_number, c.id AS card, u.id AS unit, r.id AS request FROM card c"
        " JOIN unit u ON u.id = c.unit_id JOIN activation_request_card k ON k.card_id = c.id"
        " JOIN activation_request r ON r.id = k.activation_request_id"
        " JOIN organisation o ON o.id = c.holder_id WHERE o.name = :name AND c.state = 'active' ORDER BY c.id LIMIT 1"
    )
    with world.context() as ctx:
        row = ctx.session.execute(text(one), {"name": figures.READERS[0][0]}).one()
        bast = ctx.session.execute(text("SELECT id, number FROM handover ORDER BY id LIMIT 1")).one()
        manifest = ctx.session.execute(text("SELECT id FROM manifest WHERE card_id = :card"), {"card": row.card}).scalar_one()
    return {"uid": row.uid, "part": row.uid[7:13], "hardware": row.hardware_number, "pcid": row.pcid, "letter": row.letter_number,
            "bast": bast.number, "card": row.uid, "unit": str(row.unit), "request": str(row.request), "handover": str(bast.id),
            "manifest": str(manifest)}  # fmt: skip


def pages(world: World) -> list[str]:
    """Return every page without a parameter, pages of objects, lists with a filter, searches and API reads, with `words` to fill in."""
    rules = [rule for rule in world.app.url_map.iter_rules() if "GET" in (rule.methods or ()) and not rule.arguments]
    found = sorted({rule.rule for rule in rules if not rule.rule.startswith(("/api", "/static", "/masuk", "/keluar", "/.well-known"))})
    objects = ("/kartu/{card}", "/unit/{unit}", "/aktivasi/{request}", "/bast/{handover}", "/manifest/{manifest}")
    more = ("/peta?wilayah=35", "/peta?wilayah=35.20", "/peta?wilayah=31", "/kartu?state=active", "/kartu?state=received",
            "/kartu?function=RW", "/unit?state=free",
            "/kartu?text={part}", "/unit?q={part}", "/manifest?state=active", "/manifest?soon=1", "/jejak?action=card.report",
            "/bast?state=issued",
            "/peta/titik.json?zoom=5&south=-11&west=95&north=6&east=141",
            "/peta/titik.json?zoom=11&south=-7&west=106&north=-6&east=107",
            "/peta/titik.json?zoom=16&south=-6.22&west=106.80&north=-6.19&east=106.84",
            "/peta/titik.json?zoom=17&south=-6.21&west=106.80&north=-6.20&east=106.82")  # fmt: skip
    return [*found, *objects, *more, *EXPORTS, *(f"/cari?q={word}" for word in SEARCHES), *(f"/api/v1{one}" for one in READS)]


@contextmanager
def recording(world: World) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that are executed within the block."""
    seen: list[tuple[str, Any]] = []

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> None:  # its signature is SQLAlchemy's
        seen.append((statement, parameters))

    with world.app.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(db.engine, "before_cursor_execute", note)


def examine(world: World, seen: Sequence[tuple[str, Any]], found: Found) -> None:
    """Explain the reading statements of a page, executed once more."""
    with world.app.app_context(), db.engine.connect() as connection:
        for statement, parameters in reads(seen):
            plan = connection.exec_driver_sql("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, parameters).scalar_one()[0]
            found.statements += 1
            found.blocks += plan["Plan"].get("Shared Hit Blocks", 0) + plan["Plan"].get("Shared Read Blocks", 0)
            if plan["Execution Time"] > found.slow_ms:
                found.slow_ms, found.slowest = plan["Execution Time"], " ".join(statement.split())[:400]
            found.whole += [name for name in scanned(plan["Plan"]) if name not in found.whole]
        connection.rollback()


def read_whole(world: World, seen: Sequence[tuple[str, Any]]) -> set[str]:
    """Return the large tables that the plans of some statements read from end to end. They are planned, not executed."""
    found: set[str] = set()
    with world.app.app_context(), db.engine.connect() as connection:
        for statement, parameters in reads(seen):
            plan = connection.exec_driver_sql("EXPLAIN (FORMAT JSON) " + statement, parameters).scalar_one()[0]
            found |= set(scanned(plan["Plan"]))
        connection.rollback()
    return found


def reads(seen: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the statements that only read, each text once."""
    kept = {statement: (statement, parameters) for statement, parameters in seen}
    return [one for one in kept.values() if one[0].lstrip("( ").upper().startswith(("SELECT", "WITH")) and "FOR UPDATE" not in one[0]]


def scanned(plan: dict[str, Any], above: dict[str, Any] | None = None) -> Iterator[str]:
    """Yield the large tables that a plan reads from end to end. Of a plan that was executed, those of which it read more than FEW rows.

    A scan ends early below a LIMIT that a tenth of its rows fill, and where the question is only whether there is any (`EXISTS`).
    """
    ends_early = above is not None and above["Node Type"] == "Limit" and above["Plan Rows"] * 10 <= plan["Plan Rows"]
    is_any = plan.get("Parent Relationship") == "InitPlan" and plan["Plan Rows"] > FEW
    if "Actual Rows" in plan:
        ends_early = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"] <= FEW
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in LARGE and not (ends_early or is_any):
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scanned(part, plan)


def measure(world: World, client: Client, name: str, path: str, times: int) -> Found:
    """Open a page some times."""
    api = path.startswith("/api")
    headers = client.headers | {"Accept": "application/json" if api else "text/html"}

    def opened() -> int:
        answer = client.open("GET", path, headers=headers, buffered=True)
        return int(answer.status_code)

    if path in EXPORTS:
        return _measure_file(world, client, name, path)
    found = Found(name, opened())
    if found.status != 200:
        return found
    with recording(world) as seen:
        opened()
    before = _backends(world)
    spent, walls = [], []
    for _ in range(times):
        cpu, wall = time.process_time(), time.perf_counter()
        opened()
        spent.append((time.process_time() - cpu) * 1000)
        walls.append((time.perf_counter() - wall) * 1000)
    found.cpu_ms, found.wall_ms = statistics.median(spent), statistics.median(walls)
    after = _backends(world)
    found.database_ms = sum(after[pid] - before[pid] for pid in before.keys() & after.keys()) * 1000 / times
    examine(world, seen, found)
    return found


def _measure_file(world: World, client: Client, name: str, path: str) -> Found:
    """Fetch a list as a file, once."""
    before, cpu, wall = _backends(world), time.process_time(), time.perf_counter()
    answer = client.open("GET", path, headers=client.headers | {"Accept": "text/html"}, buffered=True)
    found = Found(name, int(answer.status_code))
    spent, took, after = time.process_time() - cpu, time.perf_counter() - wall, _backends(world)
    found.rows = max(answer.data.count(b"\n") - 1, 0) if found.status == 200 else 0
    if found.rows:
        database = sum(after[pid] - before[pid] for pid in before.keys() & after.keys())
        found.cpu_ms, found.database_ms, found.wall_ms = (seconds * 1e6 / found.rows for seconds in (spent, database, took))
    return found


def _backends(world: World) -> dict[int, float]:
    """Return the CPU seconds of the database's processes. One that somebody else ends meanwhile is left out."""
    with world.context() as ctx:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        pids = list(ctx.session.scalars(text(query)))
    found = {}
    for pid in pids:
        with suppress(FileNotFoundError):
            found[pid] = server.cpu_seconds(pid)
    return found


def main() -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.nation.measure", description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--only", default="", help="only pages that match this pattern, of these people")
    parser.add_argument("--keep", type=Path, help="write all figures into this file (JSON)")
    parser.add_argument("--against", type=Path, help="figures kept at another size: print them beside these, and the ratios")
    parser.add_argument("--activations", type=int, default=0, help="measure so many activations instead, in ROUNDS rounds; it writes")
    chosen = parser.parse_args()
    world = installed(settings_with_secrets(), datetime.now(UTC), new=False)
    world.configure(rate_per_minute_address=0, rate_per_minute_actor=0)
    if chosen.activations:
        return activations(world, chosen.activations)
    named, all_found = words(world), list[Found]()
    for kind, username in people(world).items():
        client = world.client(username)
        for page in pages(world):
            if chosen.only and not re.search(chosen.only, f"{page} of {kind}"):
                continue
            found = measure(world, client, f"{page} of {kind}", page.format(**named), chosen.times)
            if found.status in (403, 404):
                continue
            all_found.append(found)
            times = f"{found.cpu_ms:7.1f} {found.database_ms:7.1f} {found.wall_ms:7.1f} {found.slow_ms:8.1f}"
            rows = f"(1,000 of {found.rows:,} rows) " if found.rows else ""
            print(f"{times} {found.blocks:8} {found.status} {found.page}  {rows}{' '.join(found.whole)}", flush=True)
    if chosen.keep:
        chosen.keep.write_text(json.dumps([asdict(one) for one in all_found], indent=1))
    if chosen.against:
        compare([Found(**one) for one in json.loads(chosen.against.read_text())], all_found)
    return 0


def activations(world: World, count: int) -> int:
    """Activate cards of an office over HTTP within this process, and print what each took: CPU here and in the database. Return 0."""
    ready = world.ready("magetan.kepala", "R", count * ROUNDS)
    client = world.client("magetan.kepala")
    for number in range(ROUNDS):
        bodies = [world.activation(ready, uid, **MAGETAN_PLACE) for uid in ready.uids[number * count : (number + 1) * count]]
        before, cpu, wall = _backends(world), time.process_time(), time.perf_counter()
        for body in bodies:
            done(client.post("/activations", body), 201)
        spent, took, after = time.process_time() - cpu, time.perf_counter() - wall, _backends(world)
        database = sum(after[pid] - before[pid] for pid in before.keys() & after.keys())
        each = (f"{seconds * 1000 / count:.2f}" for seconds in (spent, database, took))
        print("activation, ms: Python {}, database {}, wall {}".format(*each), flush=True)
    return 0


def compare(smaller: Sequence[Found], larger: Sequence[Found]) -> None:
    """Print the pages of both, those first that touch most blocks: CPU here and in the database, its ratio, blocks."""
    before = {one.page: one for one in smaller if one.status == 200}
    print("page | CPU, smaller | CPU, larger | ratio | blocks, smaller | blocks, larger")
    for one in sorted(larger, key=lambda found: -found.blocks):
        if (was := before.get(one.page)) and one.status == 200:
            small, large = was.cpu_ms + was.database_ms, one.cpu_ms + one.database_ms
            print(f"{one.page} | {small:.0f} ms | {large:.0f} ms | {large / small:.1f} | {was.blocks} | {one.blocks}")


if __name__ == "__main__":
    sys.exit(main())
