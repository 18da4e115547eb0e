"""What the witness knows beyond a restored database: its statements from there on, read as a chain and added up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from config.settings import Settings
from manifests import jws
from manifests.status import StatusValue, parse_status
from sifilma.activation.trust import keyset, told
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert
from sifilma.kernel.errors import Conflict, Unavailable
from sifilma.kernel.text import say
from sifilma.witness import statements
from sifilma.witness.contract import Witness
from sifilma.witness.models import WitnessStatement
from sifilma.witness.statements import Kind, Statement, StatementRefused


@dataclass(frozen=True)
class Row:
    """A statement of the witness as this database keeps it: what it is about, and its SHA-256."""

    number: int
    kind: str
    subject: str
    value: int
    sha256: str


@dataclass
class Beyond:
    """The sum of the statements that the database does not have.

    `ends` are the ends of counters, `lists` the newest publication of each status list (its sequence and its line), `revoked` every index
    that any of them revoked; `items` are what was told of each kind, and `acts` of all kinds, in order. `keyset` is the newest keyset as a
    signed line.
    """

    rows: list[Row] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    lists: dict[int, tuple[int, str]] = field(default_factory=dict)
    revoked: dict[int, set[int]] = field(default_factory=dict)
    items: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    acts: list[dict[str, Any]] = field(default_factory=list)
    keyset: tuple[int, str] = (0, "")
    epoch: int = 0

    def add(self, said: Statement, sha256: str) -> None:
        """Add one statement. Raise StatementRefused for one that does not say what its kind says."""
        try:
            self.rows.append(Row(said.seq, said.kind, *self._take(said), sha256))
        except (KeyError, TypeError, ValueError) as wrong:
            raise StatementRefused(f"statement {said.seq} does not say what a {said.kind} says") from wrong

    def _take(self, said: Statement) -> tuple[str, int]:
        it = said.told
        if said.kind == Kind.RESERVED:
            self.ends[it["name"]] = max(int(it["end"]), self.ends.get(it["name"], 0))
            return it["name"], int(it["end"])
        if said.kind == Kind.STATUS_LIST:
            number, seq = int(it["list"]), int(it["seq"])
            if seq >= self.lists.get(number, (0, ""))[0]:
                self.lists[number] = (seq, it["jws"])
            listed = parse_status(it["jws"].encode())[1].entries()
            self.revoked.setdefault(number, set()).update(index for index, value in listed.items() if value is StatusValue.REVOKED)
            return str(number), seq
        if said.kind == Kind.KEYSET:
            self.epoch = max(self.epoch, int(it["epoch"]))
            self.keyset = max(self.keyset, (int(it["version"]), it["jws"]))
            return "", int(it["version"])
        if said.kind == Kind.CHECKPOINT:
            return statements.log_subject(it["origin"]), int(it["size"])
        items = it.get("items", [])
        self.items.setdefault(said.kind, []).extend(items)
        self.acts.extend(items)
        return "", 0


def common(session: Session, witness: Witness, count: int) -> tuple[int, str]:
    """Return number and SHA-256 of the newest statement that database and witness share, (0, "") if they share none.

    What the database wrote beyond it never reached the witness. Raise Conflict if it says that it did: this is another witness.
    """
    query = select(WitnessStatement.number, WitnessStatement.sha256, WitnessStatement.told_at).where(WitnessStatement.number <= count)
    for number, sha256, told_at in session.execute(query.order_by(WitnessStatement.number.desc())):
        if statements.digest(witness.read(number)) == sha256:
            return number, sha256
        if told_at is not None:
            raise Conflict(say("The witness has another statement %(number)s than it was told: it is another witness.", number=number))
    return 0, ""


def bring_keyset(settings: Settings, witness: Witness) -> None:
    """Put back the newest keyset that the witness was told, where home and database have an older one than was seen, or none."""
    try:
        keyset.load(settings)
    except Unavailable:
        for number in range(witness.count(), 0, -1):
            said = statements.claim(witness.read(number))
            if said.kind == Kind.KEYSET:
                keyset.put_back(settings, str(said.told.get("jws")).encode())
                return
        raise


def read(settings: Settings, witness: Witness, after: tuple[int, str], upto: int) -> Beyond:
    """Return what the witness's statements after one say, up to another. Raise StatementRefused where the chain is broken."""
    found, previous, keys = Beyond(), after[1], dict[str, ec.EllipticCurvePublicKey]()
    for number in range(after[0] + 1, upto + 1):
        content = witness.read(number)
        keys |= {jws.thumbprint(key): key for key in told.keys_for(settings, content)}
        said = statements.verify(content, keys.values(), seq=number, previous=previous)
        previous = statements.digest(content)
        found.add(said, previous)
    return found


def adopt(ctx: Context, session: Session, after: int, found: Beyond) -> None:
    """Take over the witness's statements into the row, in the place of what this database wrote and nobody was told."""
    session.execute(delete(WitnessStatement).where(WitnessStatement.number > after).execution_options(synchronize_session=False))
    for row in found.rows:
        values = {**vars(row), "content": None, "at": ctx.now, "told_at": ctx.now}
        session.execute(upsert(session, WitnessStatement).values(values).on_conflict_do_nothing(index_elements=["number"]))


def papers_of(found: Beyond) -> Iterator[dict[str, Any]]:
    """Yield what was told of acts: of each object the newest act, with what was told of it before besides."""
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for item in found.acts:
        key = (item["kind"], item["id"])
        newest[key] = newest.get(key, {}) | item
    yield from newest.values()
