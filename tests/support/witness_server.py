"""A log of a few leaves that needs no database, and witnesses to show it to: a server in this process, or one that is a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from werkzeug.serving import make_server

from manifests import jws
from sifilma.audit import tree
from sifilma.audit.note import Checkpoint, sign_checkpoint
from sifilma.witness import cosigning, statements
from sifilma.witness.statements import Kind, Statement
from sifilma.witness.views import application
from tests.support import programs

ORIGIN, NAME = "sam.example.go.id/log", "witness.example.org/sam"


class SmallLog:
    """A Merkle tree in memory, its key, and what it signs."""

    def __init__(self, word: str = "entry", key: ec.EllipticCurvePrivateKey | None = None, origin: str = ORIGIN) -> None:
        self.key, self.word, self.origin = key or ec.generate_private_key(ec.SECP256R1()), word, origin

    def root(self, low: int, high: int) -> bytes:
        """Return the hash over these leaves, as RFC 6962 defines it."""
        if high - low == 0:
            return tree.EMPTY_ROOT
        if high - low == 1:
            return tree.leaf_hash(f"{self.word} {low}".encode())
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        return tree.node_hash(self.root(low, middle), self.root(middle, high))

    def note(self, size: int) -> str:
        """Return the signed checkpoint over this many leaves."""
        return sign_checkpoint(Checkpoint(self.origin, size, self.root(0, size)), self.key.public_key(), self.sign)

    def proof(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the log of `old` leaves is the beginning of that of `new`."""
        return [self.root(low, high) for low, high in tree.consistency(old, new)] if old else []

    def sign(self, digest: bytes) -> bytes:
        """Sign a digest as an HSM does."""
        r, s = utils.decode_dss_signature(self.key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def statement(self, seq: int, before: bytes = b"", **told: Any) -> bytes:
        """Return a statement of this log's installation."""
        said = Statement(seq, 1_800_000_000, "https://sam.example.go.id", Kind.RESERVED, statements.digest(before) if before else "", told)
        return statements.sign(said, jws.thumbprint(self.key.public_key()), self.sign)

    def pem(self, path: Path) -> Path:
        """Write the public key into a file."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        path.write_bytes(self.key.public_key().public_bytes(serialization.Encoding.PEM, form))
        return path


def witness_of(log: SmallLog, folder: Path) -> cosigning.CosigningFolder:
    """Set a witness of this log up."""
    return cosigning.set_up(folder, NAME, log.origin, [log.key.public_key()])


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve a WSGI application from a thread; give its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serving(folder: Path, now: Callable[[], float]) -> Iterator[str]:
    """Serve a witness from a thread, by a clock of the test's."""
    with served(application(folder, now)) as url:
        yield url


@contextmanager
def program(folder: Path, *more: str, largest: int = 2**40) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `sifilma witness serve` without any setting, and with files of `largest` bytes at most; give its address and process.

    It writes no byte code: cut off at that size, it would break every later start.
    """
    limited = [programs.program("prlimit"), f"--fsize={largest}", "--"]
    command = [*limited, sys.executable, "-m", "sifilma", "witness", "serve", str(folder), "--port", "0", *more]
    running = subprocess.Popen(
        command, env={"PYTHONDONTWRITEBYTECODE": "1"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        assert running.stdout is not None
        yield f"http://{running.stdout.readline().split()[-1]}", running
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
