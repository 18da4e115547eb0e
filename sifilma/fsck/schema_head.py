"""The invariant of the schema: the database has the schema of the code."""

from __future__ import annotations

from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Broken, Snapshot
from sifilma.schema import migrate


@in_snapshot("schema-head", "The schema's head is the code's head, with every table, index and rule.")
def head(now: Snapshot) -> Found:
    """Do the same as `sifilma db check`."""
    found = migrate.compare(now.connection)
    if found.database_head != found.code_head:
        yield Broken("schema", str(found.database_head), f"is not the code's {found.code_head}: `sifilma db upgrade` comes first")
        return
    for difference in found.differences:
        yield Broken("schema", "difference", difference)
    for name in found.missing_rules:
        yield Broken("rule", name, "is missing: the database does not refuse what it should")
    for name in found.unknown_rules:
        yield Broken("rule", name, "is not one the code knows")
