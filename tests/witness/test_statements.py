"""A statement names the one before and is signed in the HSM: what was changed, moved or left out is noticed."""

from __future__ import annotations

import hashlib

import pytest

from hsm import HSM
from manifests import jws
from sifilma.witness import statements
from sifilma.witness.statements import Kind, Statement, StatementRefused
from tests.support.witness import otherwise_signed


def test_statements_are_a_chain_that_only_the_audit_key_makes(signing_token: HSM) -> None:
    key, other = signing_token.public_key("audit-sign"), signing_token.public_key("document-sign")

    def made(seq: int, previous: str, label: str = "audit-sign") -> bytes:
        said = Statement(seq, 1_790_000_000, "https://sam.example", Kind.RESERVED, previous, {"name": "bast", "end": 500 + seq})
        return statements.sign(said, jws.thumbprint(signing_token.public_key(label)), lambda digest: signing_token.sign(label, digest))

    first = made(1, "")
    assert statements.verify(first, [other, key], seq=1, previous="").told == {"name": "bast", "end": 501}
    second = made(2, hashlib.sha256(first).hexdigest())
    assert statements.verify(second, [key], seq=2, previous=statements.digest(first)).seq == 2
    for content, seq, previous, why in (
        (first, 2, statements.digest(first), "lies statement 1"),
        (second, 2, statements.digest(second), "does not follow"),
        (made(1, "", "document-sign"), 1, "", "does not vouch"),
        (otherwise_signed(first), 1, "", "not what was signed|malformed"),
        (b"no statement", 1, "", "malformed"),
        (b"x" * (statements.MAX_BYTES + 1), 1, "", "too large"),
    ):
        with pytest.raises(StatementRefused, match=why):
            statements.verify(content, [key], seq=seq, previous=previous)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"seq":true,"iat":1,"iss":"","kind":"","previous":"","told":{}}'])
def test_a_signed_text_that_is_no_statement_is_refused(signing_token: HSM, body: bytes) -> None:
    key = signing_token.public_key("audit-sign")
    line = jws.sign(body, jws.thumbprint(key), statements.TYPE, lambda digest: signing_token.sign("audit-sign", digest)).encode()
    with pytest.raises(StatementRefused):
        statements.verify(line, [key], seq=1, previous="")
