"""The leaf of an entry in the log: one line of RFC 8785 JSON, whose bytes never change.

In clear it holds the act, its moment, object, organisation, API key and request: names and ids that tell nothing without the database.
Who acted (account, person, address) and `data`, which may hold typed text, are personal or can be. The leaf holds only
SHA-256(salt ‖ RFC 8785 JSON) of them. The salt is 16 random bytes; it is stored beside the entry and never published, so that nobody can
guess the values. `seq` is part of the leaf, so an entry that is moved to another place no longer matches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import rfc8785

VERSION = 1


def leaf_bytes(seq: int, entry: Mapping[Any, Any]) -> bytes:
    """Return the leaf of an entry (its columns by name) at a place."""
    at: datetime = entry["at"]
    return rfc8785.dumps(
        {
            "v": VERSION,
            "seq": seq,
            "id": str(entry["id"]),
            "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "action": entry["action"],
            "object": {"kind": entry["object_kind"], "id": entry["object_id"]},
            "organisation": _text(entry["organisation_id"]),
            "api_key": _text(entry["api_key_id"]),
            "request": entry["request_id"],
            "sealed": sealed_hash(entry),
        }
    )


def sealed_hash(entry: Mapping[Any, Any]) -> str:
    """Return the salted hash (hex) of the parts of an entry that the leaf must not show."""
    personal = {"user": _text(entry["user_id"]), "person": _text(entry["person_id"]), "ip": entry["ip"], "data": entry["data"]}
    try:
        plain = rfc8785.dumps(personal)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):  # values without an RFC 8785 form: this program never writes them, SQL can
        plain = rfc8785.dumps(personal | {"data": json.dumps(entry["data"], sort_keys=True)})
    return hashlib.sha256(bytes(entry["salt"]) + plain).hexdigest()


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
