"""Statements of a page, their plans, and the large tables that a plan reads from end to end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import sql
from sqlalchemy import Connection, event

from sifilma.kernel.db import db
from sifilma.kernel.statements.prepared import ONE_PLAN
from tests.support.world import World

LARGE = (
    "activation", "activation_request", "activation_request_card", "activation_tally", "audit_entry", "batch_row", "card", "card_tally",
    "free_unit", "handover", "handover_card", "history", "log_leaf", "log_node", "manifest", "outlet", "personalisation_request",
    "personalisation_result", "reader_tally", "row_digest", "stage_tally", "token", "unit",
)  # fmt: skip
"""Tables that grow with the cards."""
FEW = 1_000
"""Rows among which one is soon found; blocks that a plan for all values may read more."""
TIMES = 2


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


def executed(world: World, seen: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Execute the reading statements of a page once more, and yield each with its plan."""
    with world.app.app_context(), db.engine.connect() as connection:
        for statement, parameters in reads(seen):
            yield statement, explained(connection, statement, parameters, "ANALYZE, BUFFERS")
        connection.rollback()


def dearer(world: World, seen: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, int, int]]:
    """Yield the statements of one plan that read over TIMES as many blocks by it as by a plan for their values, and how many by each."""
    with world.app.app_context(), db.engine.connect() as connection:
        for statement, parameters in reads(seen):
            if ONE_PLAN in statement:
                of_all = blocks(explained(connection, statement, parameters, "ANALYZE, BUFFERS"))
                of_its = blocks(explained(connection, statement.replace(ONE_PLAN, ""), parameters, "ANALYZE, BUFFERS"))
                if of_all > TIMES * of_its + FEW:
                    yield " ".join(statement.split()), of_all, of_its
        connection.rollback()


def blocks(plan: dict[str, Any]) -> int:
    """Return how many blocks a statement read."""
    return int(plan["Plan"].get("Shared Hit Blocks", 0) + plan["Plan"].get("Shared Read Blocks", 0))


def explained(connection: Connection, statement: str, parameters: Any, *options: str) -> dict[str, Any]:
    """Return the plan of a statement as it is executed: for its values, or, of one that is kept, for whatever values."""
    explain = f"EXPLAIN ({', '.join((*options, 'FORMAT JSON'))})"
    plan: dict[str, Any]
    if ONE_PLAN not in statement:
        plan = connection.exec_driver_sql(f"{explain} {statement}", parameters).scalar_one()[0]
        return plan
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    prepared = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", statement)  # %% stays, for the driver
    values = ", ".join(sql.Literal(parameters[name]).as_string().replace("%", "%%") for name in names)
    connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
    connection.exec_driver_sql(f"PREPARE kept AS {prepared}")
    plan = connection.exec_driver_sql(f"{explain} EXECUTE kept{f'({values})' if names else ''}").scalar_one()[0]
    connection.exec_driver_sql("DEALLOCATE kept")
    connection.exec_driver_sql("SET LOCAL plan_cache_mode = auto")
    return plan


def read_whole(world: World, seen: Sequence[tuple[str, Any]]) -> set[str]:
    """Return the large tables that the plans of some statements read from end to end. They are planned, not executed."""
    found: set[str] = set()
    with world.app.app_context(), db.engine.connect() as connection:
        for statement, parameters in reads(seen):
            found |= set(scanned(explained(connection, statement, parameters)["Plan"]))
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
