"""What stands in the log for an entry: one line of RFC 8785 JSON, the same bytes for ever.

In clear stand what was done, when, to which object, in whose affair, in which request: names and ids, which lead nowhere without the
database. Who did it (account, person, address) and the words that came with it (`data` may hold what somebody typed) are personal or
may be: they stand there only as SHA-256(salt ‖ RFC 8785 JSON), with 16 random bytes that are kept beside the entry and never leave. `seq`
is part of the leaf, so that an entry moved to another place is no longer itself.
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
    """The leaf of an entry (its columns by name) at a place."""
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
    """The salted hash (hex) of what must not be read off the leaf."""
    personal = {"user": _text(entry["user_id"]), "person": _text(entry["person_id"]), "ip": entry["ip"], "data": entry["data"]}
    try:
        plain = rfc8785.dumps(personal)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):  # a number or text RFC 8785 has no form for, put there by other hands
        plain = rfc8785.dumps(personal | {"data": json.dumps(entry["data"], sort_keys=True)})
    return hashlib.sha256(bytes(entry["salt"]) + plain).hexdigest()


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
