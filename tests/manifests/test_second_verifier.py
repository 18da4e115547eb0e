"""The second verifier (`tests/vectors/verifier.mjs`) answers as ours does; the vectors catch it when one of its rules is switched off."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from manifests import status
from manifests.verifier import Expectations, verify
from tests.support import programs
from tests.vectors import keysets, lists, make
from tests.vectors.parts import AT, good

FOLDER = make.FOLDER
PROGRAM = FOLDER / "verifier.mjs"
INDEX: dict[str, Any] = json.loads((FOLDER / "index.json").read_text())
EXPECTED = {
    "vectors": {name: {"ours": entry["ours"], "warning": entry["warning"]} for name, entry in INDEX["vectors"].items()},
    "root_changes": {name: entry["root_sha256"] for name, entry in INDEX["root_changes"].items()},
}


def answers(program: Path, folder: Path = FOLDER, *names: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run([programs.program("node"), str(program), str(folder), *names], capture_output=True, check=False, text=True)
    return done.returncode, json.loads(done.stdout)


def test_it_answers_every_vector_as_ours_does() -> None:
    assert answers(PROGRAM) == (0, EXPECTED)


# Rule, its text, the text of a verifier without it, and a vector that must notice.
FAULTS = [
    ("the file's length", "file.length <= FILE_LIMIT", "true", "file-6486-bytes"),
    ("the file's length is too small", "const FILE_LIMIT = 6485", "const FILE_LIMIT = 6484", "file-6485-bytes"),
    ("trailing bits", 'need(bytes.toString("base64url") === text', "need(true", "stray-bits-in-payload"),
    ("three parts", "parts.length === 3 && ", "", "four-parts"),
    ("no other header members", "Object.keys(v).every((name) => Object.hasOwn(members, name)) &&", "", "embedded-jku"),
    ("alg", 'alg: oneOf("ES256")', "alg: isString", "alg-none-signed"),
    ("typ", "typ: oneOf(typ)", "typ: isString", "wrong-typ"),
    ("a kid is any string", 'kid: (v) => typeof v === "string"', "kid: isString", "kid-is-a-lone-surrogate"),
    ("64 bytes", "signature.length === 64", "true", "signature-63-bytes"),
    ("the pin", "pinOf(keyset.root) === rootSha256", "true", "keyset-of-a-stranger"),
    ("the root's signature", 'need(signedOnceBy(lines, keyset.root), "not', 'need(true, "not', "keyset-forged"),
    ("the root's line once", "named.length === 1", "named.length >= 1", "keyset-root-twice"),
    ("the keyset's length", "file.length <= KEYSET_LIMIT", "true", "keyset-too-long"),
    ("two lines", "texts.length <= 2", "true", "keyset-three-lines"),
    ("equal payloads", "line.payload.equals(lines[0].payload)", "true", "keyset-lines-differ"),
    ("a key once", "new Set(jwks.map(thumbprint)).size === jwks.length", "true", "keyset-root-among-keys"),
    ("points of the curve", "jwks.forEach(publicKey);", "", "keyset-x-over-the-prime"),
    ("64 keys", "v.length <= 64", "true", "keyset-65-keys"),
    ("uses", 'const use = oneOf("manifest", "status", "audit", "document")', "const use = isString", "keyset-unknown-use"),
    ("the use of a key", "key.use === use && ", "", "status-keys-signature"),
    ("revoked keys", "return (key.revoked_at ?? null) !== null", "return false", "revoked-key"),
    ("0 revokes", "return (key.revoked_at ?? null) !== null", "return Boolean(key.revoked_at)", "keyset-revoked-at-0"),
    ("the manifest's signature", 'refuseUnless(fits(jws, key.jwk), "signature-wrong")', "", "stranger-under-our-kid"),
    ("the payload's length", "jws.payload.length <= PAYLOAD_LIMIT", "true", "payload-4097-bytes"),
    ("UTF-8", "fatal: true", "fatal: false", "invalid-utf-8"),
    ("byte order mark", "ignoreBOM: true", "ignoreBOM: false", "byte-order-mark"),
    ("text after the value", "at === text.length", "true", "text-after-value"),
    ("names once", "!(name in object)", "true", "duplicate-keys-escaped"),
    ("integers", "(?:0|[1-9][0-9]*)/y", "[0-9]+/y", "leading-zero"),
    ("lone surrogates", " && !/\\p{Surrogate}/u.test(v)", "", "lone-surrogate"),
    ("code points", "[...v].length <= max", "v.length <= max", "at-every-bound"),
    ("required members", "optional.includes(name))", "true)", "missing-prev"),
    ("2^53 - 1", "2n ** 53n - 1n", "2n ** 64n", "seq-beyond-2-53"),
    ("nbf before exp", "m.nbf < m.exp", "true", "nbf-is-exp"),
    ("UUID version", 'v[14] === "7"', "true", "jti-version-4"),
    ("prev's bits", '(v) && Buffer.from(v, "base64url").toString("base64url") === v', "(v)", "prev-with-stray-bits"),
    ("key nbf", "refuseUnless(key.nbf <= manifest.iat && ", "refuseUnless(", "issued-before-its-keys-start"),
    ("key exp", "manifest.iat <= key.exp", "true", "issued-after-its-keys-end"),
    ("the keyset's epoch", "manifest.epoch <= keyset.epoch", "true", "epoch-jump"),
    ("the keyset's version", "keyset.version >= known.minKeysetVersion", "true", "keyset-version-below-floor"),
    ("the card", "manifest.sub === known.uid", "true", "wrong-uid"),
    ("seq", "(a[0] === b[0] && a[1] < b[1])", "false", "rollback"),
    ("epoch first", "(a[0] === b[0] && a[1] < b[1])", "a[1] < b[1]", "rollback-higher-epoch"),
    ("the equal pair", "a[1] < b[1]", "a[1] <= b[1]", "rollback-equal"),
    ("the floor without an epoch", "known.minEpoch ?? manifest.epoch", "known.minEpoch ?? 0n", "rollback-no-epoch"),
    ("nbf", "manifest.nbf <= known.at + TOLERANCE", "true", "301-seconds-before-nbf"),
    ("nbf within the tolerance", "manifest.nbf <= known.at + TOLERANCE", "manifest.nbf <= known.at", "one-second-before-nbf"),
    ("the tolerance's last second", "const TOLERANCE = 300n", "const TOLERANCE = 299n", "300-seconds-before-nbf"),
    ("no longer tolerance", "const TOLERANCE = 300n", "const TOLERANCE = 301n", "301-seconds-before-nbf"),
    ("no tolerance at a key's nbf", "key.nbf <= manifest.iat", "key.nbf <= manifest.iat + TOLERANCE", "issued-before-its-keys-start"),
    ("no tolerance at a key's exp", "manifest.iat <= key.exp", "manifest.iat <= key.exp + TOLERANCE", "issued-after-its-keys-end"),
    ("no tolerance at exp", "known.at <= manifest.exp +", "known.at <= manifest.exp + TOLERANCE +", "after-grace"),
    ("no tolerance of the warning", "known.at > manifest.exp", "known.at > manifest.exp + TOLERANCE", "after-exp"),
    ("exp and grace", "known.at <= manifest.exp + manifest.grace", "true", "after-grace"),
    ("the last second", "known.at <= manifest.exp + manifest.grace", "known.at < manifest.exp + manifest.grace", "at-the-end-of-grace"),
    ("the warning", "known.at > manifest.exp", "known.at >= manifest.exp", "at-exp"),
    ("the status key", "key && !isRevoked(key)", "key", "keyset-status-key-revoked"),
    ("the list's signature", 'need(fits(jws, key.jwk), "the', 'need(true, "the', "status-forged"),
    ("the list's seq", "list.seq >= minStatusSeq", "true", "status-seq-below-floor"),
    ("the list's issuer", "list.iss === manifest.iss", "true", "status-other-issuer"),
    ("the list's number", "manifest.status.uri.endsWith(`/status/${list.list}.jws`)", "true", "status-other-list"),
    ("the list's key nbf", "key.nbf <= list.iat && ", "", "keyset-status-key-later"),
    ("the list's key exp", " && list.iat <= key.exp", "", "keyset-status-key-ended"),
    ("no tolerance at the list's key's nbf", "key.nbf <= list.iat", "key.nbf <= list.iat + TOLERANCE", "keyset-status-key-later"),
    ("no tolerance at the list's key's exp", "list.iat <= key.exp", "list.iat <= key.exp + TOLERANCE", "keyset-status-key-ended"),
    ("the list's iat", "list.iat <= at + TOLERANCE", "true", "status-from-the-future"),
    ("the list's iat within the tolerance", "list.iat <= at + TOLERANCE", "list.iat <= at", "status-300-seconds-ahead"),
    ("the list's iat beyond the tolerance", "list.iat <= at + TOLERANCE", "list.iat <= at + TOLERANCE + 1n", "status-301-seconds-ahead"),
    ("no tolerance at the list's exp", "at <= list.exp", "at <= list.exp + TOLERANCE", "status-past-its-end"),
    ("the list's exp", "at <= list.exp", "true", "status-past-its-end"),
    ("bytes after the stream", "engine.bytesWritten === bytes.length", "true", "status-bytes-after-the-stream"),
    ("the inflate limit", "maxOutputLength: LIST_LIMIT, ", "", "status-too-long-inflated"),
    ("the index", "index < 4n * BigInt(entries.length)", "true", "first-index-outside"),
    ("value 3", "value !== 3", "true", "status-reserved-value"),
    ("value 1", 'refuseUnless(value !== 1, "revoked")', "", "revoked"),
    ("value 2", 'refuseUnless(value !== 2, "suspended")', "", "suspended"),
    ("the old root's line", "lines.length === 2 && ", "lines.length === 1 || ", "root-change-one-line"),
    ("the old root's signature", " && signedOnceBy(lines, held.root)", "", "root-change-forged"),
    ("the old root leaves", "!kids.includes(thumbprint(held.root))", "true", "root-change-old-among-keys"),
    ("version rises", "keyset.version > held.version", "true", "root-change-same-version"),
    ("epoch rises", "keyset.epoch > held.epoch", "true", "root-change-same-epoch"),
]


@pytest.mark.parametrize(("text", "without", "noticed_by"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_the_vectors_catch_a_verifier_without_one_rule(tmp_path: Path, text: str, without: str, noticed_by: str) -> None:
    source = PROGRAM.read_text()
    assert source.count(text) == 1, "the rule's text has changed"
    (tmp_path / "verifier.mjs").write_text(source.replace(text, without))
    code, found = answers(tmp_path / "verifier.mjs", FOLDER, noticed_by)
    kind = "root_changes" if noticed_by in EXPECTED["root_changes"] else "vectors"
    assert code == 1
    assert list(found[kind]) == [noticed_by]
    assert found[kind][noticed_by] != EXPECTED[kind][noticed_by]
    assert "failed" not in str(found[kind][noticed_by]), "it answered wrongly; it did not break down"


# --- status lists too large to keep ----------------------------------------------------------------------------------


def _of_empty_blocks(count: int) -> bytes:
    """Return a list whose stream is valid and long: empty stored blocks before the four bytes."""
    stream = lists.stream(bytes(4))
    return stream[:2] + b"\x00\x00\x00\xff\xff" * count + stream[2:]


def large_lists() -> dict[str, tuple[bytes, str]]:
    """Give file and answer: each limit, met exactly and exceeded by one step."""
    fitting = (status.MAX_BYTES // 4 * 3 - len(_of_empty_blocks(0))) // 5
    padded = lists.signed_list(lists.body_bytes().ljust(2_359_000))
    assert len(padded) < status.MAX_FILE
    return {
        "lst-fits": (lists.of_stream(_of_empty_blocks(fitting)), "valid"),
        "lst-too-long": (lists.of_stream(_of_empty_blocks(fitting + 1)), "status-list-unusable"),
        "file-fits": (padded, "valid"),
        "file-too-long": (lists.signed_list(lists.body_bytes().ljust(2_359_296)), "status-list-unusable"),
    }


def test_both_verifiers_limit_a_status_list(tmp_path: Path) -> None:
    made = large_lists()
    shutil.copy(FOLDER / "keyset.sig", tmp_path)
    (tmp_path / "good.jws").write_bytes(good())
    entries = {}
    for name, (data, ours) in made.items():
        (tmp_path / name).write_bytes(data)
        entries[name] = {"ours": ours, "warning": False, "file": "good.jws", "keyset": "keyset.sig", "status": name, "ask": {}}
        verdict = verify(good(), Expectations(keysets.PIN, make.files()["keyset.sig"], AT, data))
        assert ("valid" if verdict.valid else verdict.reason) == ours, name
    (tmp_path / "index.json").write_text(json.dumps({**INDEX, "vectors": entries, "root_changes": {}}))
    code, found = answers(PROGRAM, tmp_path)
    assert {name: answer["ours"] for name, answer in found["vectors"].items()} == {name: ours for name, (_, ours) in made.items()}
    assert code == 0
