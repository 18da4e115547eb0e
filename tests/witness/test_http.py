"""The client of a witness at an address: what is no answer of a witness is none, and every wait has an end."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from sifilma.witness.contract import WitnessAway, WitnessDiffers
from sifilma.witness.cosigning import CosigningFolder
from sifilma.witness.http import AnotherSize, Forked, HttpWitness
from sifilma.witness.wire import COUNT, SIZE
from tests.support import programs
from tests.support.witness_server import ORIGIN, SmallLog, served, serving, witness_of

NOW = 1_900_000_000.0


@pytest.fixture
def log() -> SmallLog:
    return SmallLog()


@pytest.fixture
def folder(log: SmallLog, tmp_path: Path) -> Path:
    return witness_of(log, tmp_path / "witness").folder


@pytest.fixture
def witness(log: SmallLog, folder: Path) -> Iterator[HttpWitness]:
    with serving(folder, lambda: NOW) as url:
        yield HttpWitness(url + "/", CosigningFolder(folder).cosigner)


def test_statements_are_kept_read_and_counted_at_an_address(witness: HttpWitness, log: SmallLog) -> None:
    first = log.statement(1, name="serial", end=10)
    second = log.statement(2, first, name="serial", end=20)
    assert witness.count() == 0
    for number, content in ((1, first), (1, first), (2, second)):
        witness.append(number, content)
    assert (witness.count(), witness.read(1), witness.read(2)) == (2, first, second)
    with pytest.raises(WitnessDiffers, match="2 statements, and no statement 3"):
        witness.read(3)
    for number, content in ((2, log.statement(2, first, end=3)), (4, log.statement(4, second)), (3, SmallLog().statement(3, second))):
        with pytest.raises(WitnessDiffers):
            witness.append(number, content)
    assert witness.count() == 2


def test_checkpoints_are_cosigned_and_the_newest_is_read_back(witness: HttpWitness, log: SmallLog) -> None:
    assert witness.checkpoint(ORIGIN) is None
    assert witness.cosign(0, [], log.note(4), NOW).at == NOW
    assert witness.cosign(4, log.proof(4, 9), log.note(9), NOW).at == NOW
    newest = witness.checkpoint(ORIGIN)
    assert newest is not None
    assert (newest.size, newest.root) == (9, log.root(0, 9))
    with pytest.raises(AnotherSize) as other:
        witness.cosign(4, log.proof(4, 12), log.note(12), NOW)
    assert other.value.size == 9
    fork = SmallLog("fork", log.key)
    for old, new in ((9, 12), (9, 9)):
        with pytest.raises(Forked):
            witness.cosign(old, fork.proof(old, new), fork.note(new), NOW)
    for stranger in (SmallLog(), SmallLog(key=log.key, origin="another.example/log")):
        with pytest.raises(WitnessDiffers, match="does not know"):
            witness.cosign(9, stranger.proof(9, 12), stranger.note(12), NOW)
    assert witness.checkpoint("another.example/log") is None
    with pytest.raises(WitnessDiffers, match="in the future"):
        witness.cosign(9, log.proof(9, 12), log.note(12), NOW - 3600)


def test_a_key_that_is_not_the_witness_s_is_noticed(witness: HttpWitness, log: SmallLog, tmp_path: Path) -> None:
    witness.cosign(0, [], log.note(4), NOW)
    other = HttpWitness(witness.url, witness_of(log, tmp_path / "other").cosigner)
    with pytest.raises(WitnessDiffers, match="did not cosign"):
        other.cosign(4, log.proof(4, 9), log.note(9), NOW)
    with pytest.raises(WitnessDiffers, match="did not cosign"):
        other.checkpoint(ORIGIN)


def calls(witness: HttpWitness, log: SmallLog) -> list[Callable[[], Any]]:
    return [
        witness.count, lambda: witness.read(1), lambda: witness.append(1, log.statement(1)), lambda: witness.checkpoint(ORIGIN),
        lambda: witness.cosign(0, [], log.note(4), NOW),
    ]  # fmt: skip


def answering(status: str, body: bytes, *headers: tuple[str, str]) -> Callable[..., list[bytes]]:
    def app(_environ: Any, start: Any) -> list[bytes]:
        start(status, list({"Content-Type": "text/html", **dict(headers)}.items()))
        return [body]

    return app


WRONG = {
    "a proxy that is there without its server": answering("502 Bad Gateway", b"<html>Bad Gateway</html>"),
    "a page of somebody else": answering("200 OK", b"<html>Welcome</html>"),
    "an answer of one word": answering("200 OK", b"OK\n"),
    "a number where none belongs": answering("200 OK", b"5\n"),
    "nothing": answering("200 OK", b""),
    "bytes": answering("200 OK", b"\xff\xfe\x00" * 50),
    "a page that is not there": answering("404 Not Found", b"0\n"),
    "a conflict of a proxy": answering("409 Conflict", b"1\n"),
    "a gatekeeper": answering("403 Forbidden", b"1\n"),
    "a redirect": answering("302 Found", b"", ("Location", "http://127.0.0.1:1/statements")),
    "a permanent redirect": answering("308 Permanent Redirect", b"", ("Location", "http://127.0.0.1:1/")),
    "a flood": answering("200 OK", b"1" * 5_000_000),
    "a failure": answering("500 Internal Server Error", b"1\n"),
    "a full disk": answering("507 Insufficient Storage", b"1\n"),
    "a count that is none": answering("200 OK", b"-1\n", ("X", "y")),
}


@pytest.fixture(scope="module")
def saying() -> Iterator[tuple[str, list[Any]]]:
    """Give the address of a server, and a list whose only item answers for it."""
    answers: list[Any] = []

    def app(environ: Any, start: Any) -> Any:
        return answers[0](environ, start)

    with served(app) as url:
        yield url, answers


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_no_witness_would_say_is_no_answer(wrong: Any, saying: tuple[str, list[Any]], log: SmallLog, tmp_path: Path) -> None:
    url, answers = saying
    answers[:] = [wrong]
    for call in calls(HttpWitness(url, witness_of(log, tmp_path / "witness").cosigner), log):
        with pytest.raises(WitnessAway):
            call()


def test_numbers_of_another_type_are_no_count(saying: tuple[str, list[Any]], log: SmallLog) -> None:
    url, answers = saying
    for body in (b"x", b"", b"1.5", b"0x1", b"01", "²".encode(), b"9" * 40, b"1\n1\n"):
        for kind in (COUNT, SIZE):
            answers[:] = [answering("409 Conflict", body, ("Content-Type", kind))]
            with pytest.raises(WitnessAway):
                HttpWitness(url).append(1, log.statement(1))


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Give the address of a server that does with each connection what it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopping, held = threading.Event(), list[socket.socket]()

        def run() -> None:
            while not stopping.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


def drip(connection: socket.socket) -> None:
    """Send a byte of an endless head from time to time, so that no single read takes long."""
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)
    except OSError:
        return


SLOW = {"says nothing": lambda _connection: None, "drips": drip}


@pytest.mark.parametrize("serve", SLOW.values(), ids=SLOW)
def test_a_witness_that_hangs_is_away_within_the_deadline(serve: Any, log: SmallLog) -> None:
    with listening(serve) as url:
        began = time.monotonic()
        with pytest.raises(WitnessAway, match=r"within 0\.4 s"):
            HttpWitness(url, seconds=0.4).count()
        assert time.monotonic() - began < 2


def test_a_witness_that_is_not_there_is_away(log: SmallLog) -> None:
    for url in ("http://127.0.0.1:1", "http://no-such-host.invalid", "https://127.0.0.1:1", "http://[::1", "http://"):
        for call in calls(HttpWitness(url, seconds=2), log):
            with pytest.raises(WitnessAway):
                call()


def test_a_server_that_no_authority_vouches_for_is_away(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1"]
    subprocess.run([programs.program("openssl"), *made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = make_server("127.0.0.1", 0, answering("200 OK", b"0\n", ("Content-Type", COUNT)), ssl_context=context, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with pytest.raises(WitnessAway, match="ConnectError"):
            HttpWitness(f"https://127.0.0.1:{server.port}").count()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
