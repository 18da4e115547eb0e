"""Public keys of units: which are taken, and in which form they are stored (docs/manifest.md, JWE)."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from sifilma.kernel.text import say

MEMBERS = ("kty", "crv", "x", "y")
"""What makes a public EC key (RFC 7518, section 6.2.1). No other member is stored."""
PASSED_OVER = {"kid": 200, "use": 10, "alg": 40}
"""Members that tools add to a key: taken up to these lengths, and not stored."""
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
LARGEST_TEXT = 1000
"""Characters of a key as JSON text, in forms and files."""
_COORDINATE = re.compile(r"[A-Za-z0-9_-]{43}")


def public_key(given: dict[str, Any]) -> dict[str, str]:
    """Return a public EC key on P-256 by its four members.

    Raise ValueError, with a sentence for the user that repeats nothing of the input, for private members, other members, other sizes and a
    point that is not on the curve.
    """
    if not PRIVATE.isdisjoint(given):
        raise ValueError(say("This is a private key. Only its public part is registered; make a new key, since this one was shown"))
    if any(name not in MEMBERS and name not in PASSED_OVER for name in given):
        raise ValueError(say("A public key as a JWK has the members kty, crv, x and y; kid, use and alg may stand beside them"))
    if any(not isinstance(given[name], str) or len(given[name]) > most for name, most in PASSED_OVER.items() if name in given):
        raise ValueError(say("kid, use and alg of a public key are short texts"))
    if given.get("kty") != "EC" or given.get("crv") != "P-256" or not all(_is_coordinate(given.get(name)) for name in ("x", "y")):
        raise ValueError(say("A public EC key (P-256) as a JWK is needed: kty EC, crv P-256, x and y of 43 characters"))
    kept = {name: str(given[name]) for name in MEMBERS}
    try:
        ECKey.import_key(dict(kept)).thumbprint()
    except (JoseError, ValueError, KeyError, TypeError):
        raise ValueError(say("This point is not on the curve P-256: x and y belong to no key")) from None
    return kept


def _is_coordinate(value: object) -> bool:
    return isinstance(value, str) and _COORDINATE.fullmatch(value) is not None


def thumbprint(jwk: dict[str, Any]) -> str:
    """Return the SHA-256 thumbprint of a key (RFC 7638, base64url, 43 characters): what people compare."""
    return str(ECKey.import_key(dict(jwk)).thumbprint())


def _read(value: object) -> object:
    """Return a key that a form or a sheet gives as JSON text. Raise ValueError for other text."""
    if not isinstance(value, str):
        return value
    if len(value) > LARGEST_TEXT:
        raise ValueError(say("This is too long for a public key of a unit"))
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # RecursionError: JSON that is nested too deeply
        raise ValueError(say("This is not JSON. Paste the whole key, from { to }")) from None


_SCHEMA = {
    "type": "object",
    "required": list(MEMBERS),
    "additionalProperties": False,
    "properties": {
        "kty": {"const": "EC"},
        "crv": {"const": "P-256"},
        **{name: {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"} for name in ("x", "y")},
        **{name: {"type": "string", "maxLength": most} for name, most in PASSED_OVER.items()},
    },
}
PublicJwk = Annotated[dict[str, Any], BeforeValidator(_read), AfterValidator(public_key), WithJsonSchema(_SCHEMA)]
