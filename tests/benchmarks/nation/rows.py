"""Rows as lines of COPY, and entries with their leaves of the log: what services and triggers write one by one, made set by set."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import psycopg

from sifilma.audit import recorded
from sifilma.audit.recorded import ROWS
from sifilma.audit.service import SALT_BYTES
from sifilma.audit.tree import leaf_hash
from sifilma.schema import tables
from tests.benchmarks.nation.plan import Person

DEFAULTS: dict[str, Any] = {"change_note": "", "revision": 1, "version": 1, "tries": 0, "notes": "", "note": "", "reason": ""}
IP = "127.0.0.1"
ORDER = (
    "audit_entry", "log_leaf", "row_digest", "document", "outlet", "personalisation_request", "personalisation_approval", "unit",
    "batch_row", "card", "card_uid", "personalisation_result", "handover", "handover_card", "activation_request", "activation_approval",
    "activation_request_card", "token", "activation", "manifest", "history",
)  # fmt: skip
"""The tables that are filled set by set."""
HISTORY = ("object_kind", "object_id", "from_state", "to_state", "at", "user_id", "note", "act_id")
COLUMNS = {name: tuple(c.name for c in tables.METADATA.tables[name].columns) for name in ORDER if name != "history"} | {"history": HISTORY}


class Ids:
    """Identifiers (UUIDv7) that say when something was made, drawn from the seed."""

    def __init__(self, draw: Random) -> None:
        self._bits, self._last = draw.getrandbits, 0

    def new(self, at: datetime) -> str:
        """Return the next one of this moment. They are in the order in which they are made within it."""
        stamp = int(at.timestamp() * 1000) << 80 | self._bits(74)
        self._last = value = self._last + 1 if stamp >> 80 == self._last >> 80 else stamp
        high, low = value >> 80, value & ((1 << 74) - 1)
        plain = f"{high << 80 | 0x7 << 76 | (low >> 62) << 64 | 0b10 << 62 | low & ((1 << 62) - 1):032x}"
        return f"{plain[:8]}-{plain[8:12]}-{plain[12:16]}-{plain[16:20]}-{plain[20:]}"


def text(value: Any) -> str:
    """Return a value as COPY reads it."""
    kind = type(value)
    if kind is str:
        return value.replace("\\", "\\\\") if "\\" in value else value
    if value is None:
        return "\\N"
    return "\\\\x" + value.hex() if kind is bytes else str(value)


class Rows:
    """Rows of some acts, by table. `seq` is the place in the log of the next entry."""

    def __init__(self, seq: int, draw: Random) -> None:
        self.lines: dict[str, list[str]] = defaultdict(list)
        self.ids, self.seq = Ids(draw), seq

    def put(self, table: str, **values: Any) -> None:
        """Add a row; a column that is not named has its usual value, or NULL."""
        get = values.get
        self.lines[table].append("\t".join([text(get(name, DEFAULTS.get(name))) for name in COLUMNS[table]]))

    def step(self, kind: str, key: str, old: str, new: str, stamp: dict[str, Any], note: str = "") -> None:
        """Add a step of a life, as the triggers write it."""
        at, by, act = stamp["changed_at"], stamp["changed_by"], stamp["act_id"]
        self.lines["history"].append(f"{kind}\t{key}\t{old}\t{new}\t{at}\t{by}\t{note}\t{act}")

    def act(self, at: datetime, who: Person, action: str, thing: tuple[str, str], owner: str, **data: Any) -> dict[str, Any]:
        """Add the entry of an act, with its leaf. Return what each step by it carries (`Stateful`)."""
        return self.entry(at, who, action, thing, owner, self.ids.new(at), os.urandom(SALT_BYTES), data)

    def entry(self, at: datetime, who: Person, action: str, thing: tuple[str, str], owner: str, key: str, salt: bytes,
              data: dict[str, Any]) -> dict[str, Any]:  # fmt: skip
        """Add an entry with this id and salt, and its leaf. Return what each step by it carries."""
        kind, object_id = thing
        facts, moment = recorded.canonical(data).decode(), at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        personal = f'{{"data":{facts},"ip":"{IP}","person":"{who.person}","user":"{who.user}"}}'
        sealed = hashlib.sha256(salt + personal.encode()).hexdigest()
        leaf = (
            f'{{"action":"{action}","api_key":null,"at":"{moment}","id":"{key}","object":{{"id":"{object_id}","kind":"{kind}"}},'
            f'"organisation":"{owner}","request":"nation","sealed":"{sealed}","seq":{self.seq},"v":1}}'
        )
        self.lines["log_leaf"].append(f"{self.seq}\t{key}\t\\\\x{leaf_hash(leaf.encode()).hex()}")
        self.seq += 1
        self.put("audit_entry", id=key, at=moment, action=action, user_id=who.user, person_id=who.person, organisation_id=owner,
                 object_kind=kind, object_id=object_id, request_id="nation", ip=IP, data=facts, salt=salt)  # fmt: skip
        return {"changed_at": moment, "changed_by": who.user, "act_id": key}

    def recording(self, at: datetime, who: Person, action: str, thing: tuple[str, str], owner: str,
                  made: Sequence[tuple[str, dict[str, Any]]], **data: Any) -> dict[str, Any]:  # fmt: skip
        """Do the same for an act that makes rows that acts rest on: tables with the covered columns (`recorded`), and `id`."""
        key, salt, stated = self.ids.new(at), os.urandom(SALT_BYTES), []
        for kind, row in made:
            covered = {name: value for name, value in row.items() if name != "id"}
            digest = recorded.salted(salt, recorded.canonical({"kind": kind, "id": row["id"], "version": 1, "row": covered}))
            stated.append(f"{kind} {row['id']} 1 {digest}")
            self.lines["row_digest"].append(f"{kind}\t{row['id']}\t1\t\\\\x{digest}\t{key}")
        stated.sort()
        facts = {**data, ROWS: hashlib.sha256("\n".join(stated).encode()).hexdigest()}
        return self.entry(at, who, action, thing, owner, key, salt, facts)


def store(connection: psycopg.Connection[Any], lines: dict[str, list[str]]) -> None:
    """Write rows by COPY, in the caller's transaction."""
    for table in ORDER:
        if made := lines.get(table):
            with connection.cursor().copy(f"COPY {table} ({', '.join(COLUMNS[table])}) FROM STDIN".encode()) as copy:
                copy.write("\n".join(made) + "\n")
