"""Rules that the database enforces, written once and rendered for SQLite and PostgreSQL.

Packages register their rules when their models are imported. `sifilma.schema.migrate` installs them after every migration, because
SQLite's batch mode drops the triggers of a table it rebuilds. `sifilma db check` compares them with the database.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from sqlalchemy import Connection, text

PREFIX = "sf_"
_VALUES = re.compile(r"(INSERT INTO [^;]*?) VALUES \(((?:(?!\), \().)*)\)", re.DOTALL)
"""An INSERT of one row."""


@dataclass(frozen=True)
class Rule:
    """One trigger. `when` is SQL over OLD and NEW that both databases understand.

    A guard refuses with `message` when `when` holds (always, if it is empty). A follower runs the statement `then` after the change.

    `whole`: PostgreSQL looks at all rows of an INSERT together, after them. A condition that asks other tables is then planned and begun
    once for many rows. It must not ask its own table, where it would find the rows that it looks at.

    `together`: what a follower runs on PostgreSQL in place of `then`, once for all rows that a statement inserted or changed. They stand in
    the table `fresh`, and as they were before in `stale`, each by its id.
    """

    name: str
    table: str
    event: str
    when: str = ""
    message: str = ""
    then: str = ""
    whole: bool = False
    together: str = ""

    @property
    def full_name(self) -> str:
        """Return the trigger's name in the database. It ends in a fingerprint of the rule, so a changed rule gets another name."""
        text_ = f"{self.table}|{self.event}|{self.when}|{self.message}|{self.then}" + ("|whole" if self.whole else "")
        text_ += f"|{self.together}" if self.together else ""
        return f"{PREFIX}{self.name}_{hashlib.sha256(text_.encode()).hexdigest()[:8]}"


_rules: dict[str, Rule] = {}


def guard(name: str, table: str, event: str, when: str, message: str, *, whole: bool = False) -> None:
    """Register a guard: refuse `event` (`INSERT`, `UPDATE`, `DELETE`) on `table` when `when` holds. `whole` as `Rule` says."""
    if whole and event != "INSERT":
        raise ValueError(f"{name}: rows before and after a change would have to be joined, in a plan that was made for few")
    _register(Rule(name, table, event, when=when, message=message, whole=whole))


def follow(name: str, table: str, event: str, then: str, when: str = "", *, together: str = "") -> None:
    """Register a follower: after `event` on `table` run `then`, if `when` holds. What an INSERT inserts is followed as a whole.

    `together` as `Rule` says: for what many rows would do to one row of another table.
    """
    whole = event == "INSERT" and _VALUES.fullmatch(then) is not None
    _register(Rule(name, table, event, when=when, then=then, whole=whole, together=together))


def of_it(condition: str) -> str:
    """Return a condition of a row that is found by its key, in a form for which PostgreSQL looks up no index.

    A trigger keeps the plan that it made when it ran first. While statistics say of a young table that no row is in a state, the index of
    states seems to be the shortest way: it then reads every row that came into that state since, for each row of a set.
    """
    return f"(({condition}) IS TRUE)"


def immutable(table: str, *columns: str, unless: str = "") -> None:
    """Register guards: rows of `table` are never deleted. `columns` (all, if none is named) never change, except where `unless` holds."""
    guard(f"{table}_keep", table, "DELETE", "", f"{table}: nothing is deleted")
    # IS DISTINCT FROM, because a comparison with NULL by <> is never true.
    changed = " OR ".join(f"(OLD.{c} IS DISTINCT FROM NEW.{c})" for c in columns)
    condition = f"({changed}) AND NOT ({unless})" if changed and unless else changed
    guard(f"{table}_frozen", table, "UPDATE", condition, f"{table}: what was recorded does not change")


def _register(rule: Rule) -> None:
    if _rules.setdefault(rule.name, rule) != rule:
        raise ValueError(f"two different rules are called {rule.name}")


def rules() -> list[Rule]:
    """Return every registered rule, sorted by name."""
    return [_rules[name] for name in sorted(_rules)]


def render(rule: Rule, dialect: str) -> list[str]:
    """Return the statements that create the trigger on `sqlite` or `postgresql`."""
    return _render_sqlite(rule) if dialect == "sqlite" else _render_postgresql(rule)


def _render_sqlite(rule: Rule) -> list[str]:
    # SQLite knows IS DISTINCT FROM only since 3.39. IS NOT means the same there.
    body = rule.then or f"SELECT RAISE(ABORT, '{rule.message}')"
    when = re.sub(r"IS DISTINCT FROM", "IS NOT", rule.when)
    timing = "AFTER" if rule.then else "BEFORE"
    condition = f" WHEN {when}" if when else ""
    return [f"CREATE TRIGGER {rule.full_name} {timing} {rule.event} ON {rule.table} FOR EACH ROW{condition} BEGIN {body}; END"]


def _render_postgresql(rule: Rule) -> list[str]:
    if rule.whole:
        return _render_whole(rule)
    if rule.together:
        return _render_statement(rule, f"{rule.together};")
    body = f"{rule.then};" if rule.then else _refusal(rule)
    for condition in reversed(_nested(rule.when)):
        body = f"IF {condition} THEN {body} END IF;"
    result = "OLD" if rule.event == "DELETE" else "NEW"
    timing = "AFTER" if rule.then else "BEFORE"
    return [
        f"CREATE FUNCTION {rule.full_name}() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN {body} RETURN {result}; END $body$",
        f"CREATE TRIGGER {rule.full_name} {timing} {rule.event} ON {rule.table} FOR EACH ROW EXECUTE FUNCTION {rule.full_name}()",
    ]


def _refusal(rule: Rule) -> str:
    return f"RAISE EXCEPTION '{rule.message}' USING ERRCODE = 'integrity_constraint_violation';"


def _render_whole(rule: Rule) -> list[str]:
    """Return the statements that create a trigger on all rows that one INSERT has inserted."""
    those = "FROM fresh" + (f" WHERE {_fresh(rule.when)}" if rule.when else "")
    if inserted := _VALUES.fullmatch(rule.then):
        body = f"{inserted[1]} SELECT {_fresh(inserted[2])} {those};"
    else:
        body = (
            f"IF EXISTS (SELECT 1 {those}) THEN RAISE EXCEPTION '{rule.message}' USING ERRCODE = 'integrity_constraint_violation'; END IF;"
        )
    return _render_statement(rule, body)


def _render_statement(rule: Rule, body: str) -> list[str]:
    name = rule.full_name
    tables = "NEW TABLE AS fresh" if rule.event == "INSERT" else "OLD TABLE AS stale NEW TABLE AS fresh"
    made = f"CREATE TRIGGER {name} AFTER {rule.event} ON {rule.table} REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    return [f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN {body} RETURN NULL; END $body$", made]


def _fresh(part: str) -> str:
    return re.sub(r"\bNEW\.", "fresh.", part)


def _nested(when: str) -> list[str]:
    """Return a condition as one or two that must both hold. The first has no sub-query: what it spares goes through no planner.

    PL/pgSQL evaluates a plain expression by itself, and hands one with a sub-query to the executor whole, though its first part be false.
    """
    parts = _conjuncts(when)
    plain = [part for part in parts if "SELECT" not in part]
    asking = [part for part in parts if "SELECT" in part]
    return [" AND ".join(some) for some in (plain, asking) if some]


_WORD = re.compile(r"'[^']*'|[()]|\b(?:AND|OR|BETWEEN|CASE)\b")


def _conjuncts(when: str) -> list[str]:
    """Split a condition at the ANDs outside its parentheses and texts. One that cannot be split there stays whole."""
    parts, depth, begin = list[str](), 0, 0
    for found in _WORD.finditer(when):
        word = found[0]
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0 and word in ("OR", "BETWEEN", "CASE"):
            return [when]
        if depth == 0 and word == "AND":
            parts.append(when[begin : found.start()].strip())
            begin = found.end()
    return [part for part in (*parts, when[begin:].strip()) if part]


def installed(connection: Connection) -> set[str]:
    """Return the names of this project's enabled triggers in the database."""
    sqlite = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    # A disabled trigger (tgenabled other than O) counts as missing.
    postgresql = (
        "SELECT DISTINCT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE NOT tgisinternal AND tgenabled = 'O' AND c.relnamespace = current_schema()::regnamespace"
    )
    names = connection.execute(text(sqlite if connection.dialect.name == "sqlite" else postgresql)).scalars()
    return {name for name in names if name.startswith(PREFIX)}


def uninstall(connection: Connection) -> None:
    """Drop every trigger of this project, before tables are rebuilt."""
    # CASCADE drops the trigger with its function. Sent as it is: to compile hundreds of statements that run once takes as long as they do.
    drop = "DROP TRIGGER {}" if connection.dialect.name == "sqlite" else "DROP FUNCTION {}() CASCADE"
    for name in installed(connection):
        connection.exec_driver_sql(drop.format(name))


def install(connection: Connection) -> None:
    """Create a trigger for every registered rule."""
    for rule in rules():
        for statement in render(rule, connection.dialect.name):
            connection.execute(text(statement))


def missing(connection: Connection) -> tuple[set[str], set[str]]:
    """Return the triggers the database lacks, and those the code does not know. Both are empty if all is well."""
    expected = {rule.full_name for rule in rules()}
    found = installed(connection)
    return expected - found, found - expected
