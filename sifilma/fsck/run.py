"""Run the checks: first the schema, then one moment of the database, then files and sealed values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from config.settings import Settings
from hsm import HSM
from sifilma.fsck import catalogue
from sifilma.fsck.registry import Invariant, Needs
from sifilma.fsck.snapshot import Broken, Outside, Snapshot
from sifilma.kernel.clock import Clock
from sifilma.kernel.errors import Invalid
from sifilma.kernel.file_store import FileStore
from sifilma.schema import migrate

SCHEMA = "schema-head"
STATEMENT_TIMEOUT = "SET LOCAL statement_timeout = '1h'"  # the usual seconds are for requests; a check of many rows takes longer


@dataclass(frozen=True)
class Finding:
    """One object for which an invariant does not hold."""

    invariant: str
    broken: Broken

    def __str__(self) -> str:
        return f"{self.broken.kind} {self.broken.id} {self.broken.says} [{self.invariant}]"


@dataclass
class Report:
    """The result of a run. `left_out` names the invariants that were not checked."""

    looked_at: list[Invariant] = field(default_factory=list)
    left_out: list[Invariant] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Return whether everything that was checked holds."""
        return not self.findings


@dataclass(frozen=True)
class Installation:
    """The installation that is examined."""

    engine: Engine
    settings: Settings
    hsm: HSM
    files: FileStore
    clock: Clock

    def outside(self) -> Outside:
        """Return the view for checks outside the snapshot."""
        return Outside(self.settings, self.hsm, self.files, self.clock.now(), lambda: reading(self.engine))


def examine(
    installation: Installation,
    only: Collection[str] = (),
    without: Collection[Needs] = (),
    tell: Callable[[Finding], None] = lambda _finding: None,
) -> Report:
    """Check every invariant, or those named, and return the report. `tell` is called with each finding at once.

    If the schema is of another version, only this is reported: the other checks would fail on it. Raise Invalid for an unknown name.
    """
    chosen = _choose(only)
    todo = [one for one in chosen if one.needs not in without]
    report = Report()
    with snapshot(installation.engine) as connection:
        now = Snapshot(connection, installation.settings, installation.clock.now())
        if migrate.current(connection) != migrate.head():
            todo = _choose([SCHEMA])
        for one in todo:
            if one.needs is Needs.SNAPSHOT:
                _note(report, one, tell, guarded(one, now))
    outside = installation.outside()
    for one in todo:
        if one.needs is not Needs.SNAPSHOT:
            _note(report, one, tell, one.check(outside))  # type: ignore[arg-type]  # `needs` says which of the two it takes
    report.left_out = [one for one in chosen if one not in report.looked_at]
    return report


def _choose(only: Collection[str]) -> list[Invariant]:
    known = catalogue.invariants()
    unknown = sorted(set(only) - {one.name for one in known})
    if unknown:
        raise Invalid(f"There is no invariant {', '.join(unknown)}: `sifilma fsck --list` names them.")
    return [one for one in known if not only or one.name in only]


def _note(report: Report, one: Invariant, tell: Callable[[Finding], None], found: Iterator[Broken]) -> None:
    report.looked_at.append(one)
    for broken in found:
        finding = Finding(one.name, broken)
        report.findings.append(finding)
        tell(finding)


def guarded(one: Invariant, now: Snapshot) -> Iterator[Broken]:
    """Run one check. If the database refuses its query (a table or column differs), this is the finding, and the run continues."""
    check: Any = one.check
    try:
        # A savepoint: on PostgreSQL a failed query would end the snapshot's transaction.
        with now.connection.begin_nested():
            yield from check(now)
    except DBAPIError as fault:
        yield Broken("invariant", one.name, f"cannot be looked at: the database answered {type(fault.orig).__name__}")


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Give a connection on one moment of the database, read only, that blocks nobody.

    It is REPEATABLE READ on PostgreSQL and a deferred transaction on SQLite.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)  # noqa: PLW2901
            connection.execute(text(STATEMENT_TIMEOUT))
        else:
            connection = connection.execution_options(sifilma_read_only=True)  # noqa: PLW2901
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection for one short reading transaction."""
    with engine.connect() as connection:
        yield connection.execution_options(sifilma_read_only=True)
