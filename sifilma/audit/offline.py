"""`python -m sifilma.audit.offline FILE` verifies an exported log. Imports the standard library and cryptography only.

It builds the tree from the leaves and compares it with every checkpoint of the file and with those kept elsewhere (`--checkpoint`).
`--key` gives the certificate or public key (PEM) that must have signed them. Without it the keys named in the file are used, which
proves only that the file is consistent.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sifilma.audit.note import NoteRefused, read_checkpoint
from sifilma.audit.tree import Frontier, leaf_hash

Keys = Sequence[ec.EllipticCurvePublicKey]


class Check:
    """One reading of an export. `wrong` lists the faults in words, `frontier` is the tree that was read."""

    def __init__(self, lines: Iterable[str], kept: Sequence[str] = (), keys: Keys = ()) -> None:
        self.frontier, self.checkpoints = Frontier(), 0
        rows = map(json.loads, lines)
        head = next(rows)["log"]
        self._keys = keys or _keys_of(head)
        self._kept = list(kept)
        self.wrong = [*self._read(rows), *self._end(head["size"])]

    def _read(self, rows: Iterator[dict[str, Any]]) -> Iterator[str]:
        yield from self._meet_kept()
        for row in rows:
            if "leaf" not in row:
                self.checkpoints += 1
                yield from self._compare(row["checkpoint"], f"the checkpoint after entry {self.frontier.size}")
                continue
            if json.loads(row["leaf"])["seq"] != self.frontier.size:
                yield f"place {self.frontier.size} holds the leaf of another place"
            self.frontier.append(leaf_hash(row["leaf"].encode()))
            yield from self._meet_kept()

    def _meet_kept(self) -> Iterator[str]:
        """Compare the kept checkpoints over as many entries as were read so far."""
        for note in [note for note in self._kept if _size(note) == self.frontier.size]:
            self._kept.remove(note)  # what is left at the end fits no size that was read
            yield from self._compare(note, f"the kept checkpoint over {self.frontier.size} entries")

    def _end(self, announced: int) -> Iterator[str]:
        if self.frontier.size != announced:
            yield f"{announced} entries are announced, {self.frontier.size} are there"
        yield from (f"a kept checkpoint does not fit {self.frontier.size} entries: the tail was cut, or it is none" for _ in self._kept)

    def _compare(self, note: str, name: str) -> Iterator[str]:
        try:
            said = read_checkpoint(note, self._keys)
        except NoteRefused as refused:
            yield f"{name} is not to be trusted: {refused}"
            return
        if (said.size, said.root) != (self.frontier.size, self.frontier.root()):
            yield f"the entries do not lead to {name}"


def _keys_of(head: dict[str, Any]) -> Keys:
    """Return the keys that the file itself names."""
    found = [serialization.load_der_public_key(base64.b64decode(key)) for key in head["keys"]]
    return [key for key in found if isinstance(key, ec.EllipticCurvePublicKey)]


def _size(note: str) -> int | None:
    """Return the size that a note states, or None if it is no checkpoint."""
    size = note.split("\n")[1:2]
    return int(size[0]) if size and size[0].isdecimal() else None


def key_in(path: Path) -> ec.EllipticCurvePublicKey:
    """Return the public key in a PEM file, which may be a certificate. Raise SystemExit if it is of no elliptic curve."""
    data = path.read_bytes()
    is_certificate = b"BEGIN CERTIFICATE" in data
    key = x509.load_pem_x509_certificate(data).public_key() if is_certificate else serialization.load_pem_public_key(data)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise SystemExit(f"{path} holds no elliptic curve key")
    return key


def main() -> int:
    """Run the command. Return 1 if something is wrong, else 0."""
    parser = argparse.ArgumentParser(description="Verify an exported transparency log.")
    parser.add_argument("file", type=Path, help="what `sifilma audit export` wrote")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="a checkpoint kept elsewhere")
    parser.add_argument("--key", type=Path, action="append", default=[], help="who must have signed: certificate or public key, PEM")
    given = parser.parse_args()
    with given.file.open() as lines:
        check = Check(lines, [path.read_text() for path in given.checkpoint], [key_in(path) for path in given.key])
    for sentence in check.wrong:
        sys.stderr.write(f"{sentence}\n")
    sys.stdout.write(f"{check.frontier.size} entries, {check.checkpoints} checkpoints, root {check.frontier.root().hex()}\n")
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
