"""Invariants of secrets: none is in clear in the database."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import JSON, Column, LargeBinary, String, Table, Text, select
from sqlalchemy.engine import Row

from sifilma.audit.models import Action
from sifilma.cards.public_keys import LARGEST_TEXT, MEMBERS
from sifilma.fsck.registry import Found, Needs, in_snapshot, outside
from sifilma.fsck.sealed import opened_tokens
from sifilma.fsck.snapshot import AT_ONCE, Outside, Snapshot, broken
from sifilma.schema import tables

PATTERNS = {
    "a signed or encrypted file (JWS, JWE)": re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    "an API key": re.compile(r"(?<![\w-])sf_[\w-]{43}(?![\w-])"),
    "an authenticator's address": re.compile(r"otpauth://"),
    "an authenticator's seed": re.compile(r"(?<![\w=/+-])(?=[A-Z2-7]*[G-Z])[A-Z2-7]{32}(?![\w=/+-])"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
FORBIDDEN_FACTS = frozenset({"token", "password", "secret", "otp", "code", "seed", "pin", "conf", "csrf", "cookie"})
PUBLIC_FACTS = {Action.KEYS_CEREMONY: frozenset({"pin"})}
"""Facts of an act that are called like a secret and are public: earlier versions called the root key's fingerprint `pin`."""
PUBLIC = frozenset({"published_status_list.jws", "published_trust.data", "stored_part.data", "unit.pcid", "batch_row.pcid"})
"""Columns made for publication, files as people uploaded them, and columns of PCIDs, whose 32 hex digits can look like a seed."""

REFERENCE = frozenset({"region"})
"""Tables that a package fills, not a person."""

WORD = re.compile(r"(?<![A-Za-z0-9])(?=[A-Z0-9]*[a-z])(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{10}(?![A-Za-z0-9])")
"""What could be a token: ten letters and digits, with both cases (as 99 of 100 tokens have)."""


def _columns(table: Table) -> list[Column[Any]]:
    """Return the columns that can hold text: text, JSON and bytes."""
    kinds = () if table.name in REFERENCE else (String, Text, JSON, LargeBinary)
    return [column for column in table.columns if isinstance(column.type, kinds) and f"{table.name}.{column.name}" not in PUBLIC]


def _texts(row: Row[Any], columns: Iterable[Column[Any]]) -> Iterator[tuple[str, str]]:
    values: tuple[Any, ...] = tuple(row)[1:]
    for column, value in zip(columns, values, strict=True):
        if value:
            yield column.name, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")  # maps every byte to a character, so that patterns find text inside binary data
    return value if isinstance(value, str) else json.dumps(value)


def _key(table: Table) -> Column[Any]:
    """Return the column that names a row, the first of a compound key."""
    return next(iter(table.primary_key.columns), next(iter(table.columns)))


@in_snapshot("no-secret", "No secret lies in clear in the database.")
def no_secret(now: Snapshot) -> Found:
    """Search every text, document and byte string of every table for what looks like a secret. The finding names only the place."""
    for table in tables.METADATA.sorted_tables:
        columns = _columns(table)
        if not columns:
            continue
        rows = now.connection.execute(select(_key(table), *columns), execution_options={"stream_results": True, "yield_per": AT_ONCE})
        for row in rows:
            for column, text in _texts(row, columns):
                for what, pattern in PATTERNS.items():
                    if pattern.search(text):
                        yield broken(table.name, row[0], f"holds {what} in clear in {column}")


@in_snapshot("no-secret-facts", "The record of acts holds no fact that is called like a secret.")
def no_secret_facts(now: Snapshot) -> Found:
    """Check the names of facts: an entry tells what was done, not with which secret."""
    entry = tables.METADATA.tables["audit_entry"]
    entries = select(entry.c.id, entry.c.action, entry.c.data)
    for row in now.connection.execute(entries, execution_options={"stream_results": True, "yield_per": AT_ONCE}):
        for name in sorted((FORBIDDEN_FACTS & set(row.data)) - PUBLIC_FACTS.get(row.action, frozenset())):
            yield broken("audit_entry", row.id, f"has a fact called {name}")


@in_snapshot("hashed", "Passwords are kept by argon2id, links, cookies and keys by SHA-256, nothing else of them.")
def hashed(now: Snapshot) -> Found:
    """Check the form of the stored values."""
    yield from now.find(
        "user",
        "SELECT id FROM user_account WHERE password_hash <> '' AND password_hash NOT LIKE '$argon2id$v=19$m=%'",
        "has a password that is not kept by argon2id",
    )
    for table, column in (("login_session", "token_hash"), ("invitation", "token_hash"), ("api_key", "key_hash")):
        for row in now.rows(f"SELECT id, {column} AS kept FROM {table}"):
            if not re.fullmatch(r"[0-9a-f]{64}", row.kept):
                yield broken(table, row.id, "is not kept as a SHA-256")
    yield from now.find("api_key", "SELECT id FROM api_key WHERE length(prefix) > 12", "shows more than its prefix")


@in_snapshot("sealed", "Tokens, manifest bodies, data keys and seeds have the length of something sealed.")
def sealed(now: Snapshot) -> Found:
    """Check the lengths. Whether the values open is checked by `token-opens` and `manifest-verifies`."""
    # A sealed token is the data key's id (16), IV (12), token (10) and tag (16); a sealed data key is IV, key (32) and tag.
    lengths = (
        ("token", "token", "sealed", "= 54"),
        ("token", "token", "mac", "IN (32, 33)"),
        ("data_key", "data_key", "sealed", ">= 60"),
        ("manifest", "manifest", "sealed_body", "> 300"),
        ("user", "user_account", "totp_sealed", ">= 44"),
        ("invitation", "invitation", "totp_sealed", ">= 44"),
    )
    for kind, table, column, right in lengths:
        yield from now.find(
            kind,
            f"SELECT id FROM {table} WHERE {column} IS NOT NULL AND NOT (length({column}) {right})",
            f"has a {column} of a wrong length",
        )
    for row in now.rows("SELECT id, public_jwk FROM unit WHERE public_jwk IS NOT NULL"):
        jwk = json.loads(row.public_jwk) if isinstance(row.public_jwk, str) else row.public_jwk
        if jwk and "d" in jwk:
            yield broken("unit", row.id, "has registered a private key")
        elif jwk and len(json.dumps(jwk)) > LARGEST_TEXT:
            yield broken("unit", row.id, f"has a public key of more than {LARGEST_TEXT} characters")
        elif jwk and set(jwk) != set(MEMBERS):
            yield broken("unit", row.id, "has a public key with other members than those of a key")


@outside("no-token", "No token lies in clear in the database.", Needs.HSM)
def no_token(look: Outside) -> Found:
    """Compare every word that could be a token with every token, in memory."""
    words = _words(look)
    if not words:
        return
    for rows, opened in opened_tokens(look):
        for row in rows:
            place = words.get(opened.get(row.id, ""))
            if place is not None:
                table, key, column = place
                yield broken(table, key, f"holds a token in clear in {column}")


def _words(look: Outside) -> dict[str, tuple[str, Any, str]]:
    """Return each such word with the first place where it occurs."""
    words: dict[str, tuple[str, Any, str]] = {}
    for table in tables.METADATA.sorted_tables:
        columns = _columns(table)
        if not columns:
            continue
        with look.reading() as connection:
            rows = connection.execute(select(_key(table), *columns), execution_options={"stream_results": True, "yield_per": AT_ONCE})
            for row in rows:
                for column, text in _texts(row, columns):
                    for word in WORD.findall(text):
                        words.setdefault(word, (table.name, row[0], column))
    return words
