"""The server: slow senders hold nothing up, dead and frozen processes are replaced, and a stop ends in time whatever signals come."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands.small_server import LARGEST, SmallServer
from tests.support.servers import ROOT, environment, free_port, named
from tests.support.world import World, done

STOPS = int(os.environ.get("SIFILMA_TEST_STOPS", "12"))
"""200 in `make chaos`."""


OPENED: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _connections_are_closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


@contextmanager
def small_server(count: int = 1, seconds: float = 1.0, still: float = 3.0) -> Iterator[tuple[SmallServer, int]]:
    """A server of the one-line application; killed afterwards, if it is still there."""
    port = free_port()
    process = SmallServer(port, count, seconds, still)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                asked(port)
                break
            time.sleep(0.02)
        yield process, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def asked(port: int, path: str = "/", timeout: float = 5) -> int:
    """The number of the process that answered."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
        return int(answer.read().split()[0])


def sent(port: int, head: str, body: bytes = b"") -> socket.socket:
    """A connection on which this was sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    OPENED.append(connection)
    connection.sendall(head.replace("\n", "\r\n").encode() + body)
    return connection


def answer_to(connection: socket.socket) -> tuple[str, dict[str, object]]:
    """Status and problem document of what comes back until the server closes."""
    data = b""
    with connection, contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    return head.split(b" ")[1].decode(), json.loads(body)


POST = "POST / HTTP/1.1\nHost: x\n"


def test_a_hundred_bodies_that_never_arrive_are_ended_and_hold_nothing_up() -> None:
    with small_server(seconds=2) as (_, port):
        began = time.monotonic()
        slow = [sent(port, POST + "Content-Length: 1000\n\n", b"x") for _ in range(100)]
        waits = []
        while time.monotonic() < began + 1.5:
            before = time.monotonic()
            asked(port)
            waits.append(time.monotonic() - before)
        assert max(waits) < 0.2
        assert {answer_to(connection)[0] for connection in slow} == {"408"}
        assert time.monotonic() - began < 4


def test_a_body_that_drips_is_ended_at_its_time_not_between_two_drops() -> None:
    with small_server() as (_, port):
        connection, began = sent(port, POST + "Transfer-Encoding: chunked\n\n"), time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() < began + 4:
                connection.sendall(b"1\r\nx\r\n")
                time.sleep(0.1)
        assert time.monotonic() - began < 2.5


@pytest.mark.parametrize("head", ["", "POST / HT", POST], ids=["nothing", "half a line", "half a head"])
def test_a_head_that_never_ends_is_ended(head: str) -> None:
    with small_server() as (_, port):
        began = time.monotonic()
        assert sent(port, head).recv(100) == b""
        assert time.monotonic() - began < 3


def test_a_second_head_on_a_connection_has_a_time_too() -> None:
    with small_server() as (_, port):
        connection = sent(port, "GET / HTTP/1.1\nHost: x\n\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET / HT")
        began = time.monotonic()
        while connection.recv(1000):
            pass
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("head", "status", "kind"),
    [
        ("GET / HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc", "400", "body-not-expected"),
        ("HEAD / HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc", "400", "body-not-expected"),
        ("GET / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n", "400", "body-not-expected"),
        (POST + f"Content-Length: {LARGEST + 1}\n\n", "413", "too-large"),
        (POST + "Content-Type: application/json\nContent-Length: 4194305\n\n", "413", "too-large"),
        (POST + "Content-Type: application/vnd.x+json; charset=utf-8\nContent-Length: 5000000\n\n", "413", "too-large"),
    ],
)
def test_a_body_where_none_belongs_or_one_too_large_is_refused_before_it_is_read(head: str, status: str, kind: str) -> None:
    with small_server() as (_, port):
        connection = sent(port, head)
        if head.startswith("HEAD"):
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")
            return
        found, problem = answer_to(connection)
        assert (found, problem["type"]) == (status, f"urn:sifilma:problem:{kind}")


LARGE_HEADS = {
    "one header": f"GET / HTTP/1.1\nHost: x\nX: {'a' * 33_000}\n\n",
    "no end": f"GET / HTTP/1.1\nHost: x\nX: {'a' * 300_000}",
    "line": f"GET /?{'a' * 40_000} HTTP/1.1\nHost: x\n\n",
    "many headers": "GET / HTTP/1.1\nHost: x\n" + "X: 12345678\n" * 5_000 + "\n",
    "second request": f"GET / HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\nHost: x\nX: {'a' * 100_000}\n\n",
}


def test_a_head_of_more_than_32_kb_is_refused() -> None:
    with small_server() as (_, port):
        for name, head in LARGE_HEADS.items():
            connection, data = sent(port, head), b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    data += part
            assert b"HTTP/1.1 431 " in data, name
            assert json.loads(data.rpartition(b"\r\n\r\n")[2])["type"] == "urn:sifilma:problem:head-too-large", name
        whole = sent(port, f"GET / HTTP/1.1\nHost: x\nX: {'a' * 30_000}\nConnection: close\n\n")
        assert whole.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    with small_server(seconds=10) as (_, port):
        for path, size in (("/", 3), ("/large", 40 * 1024 * 1024)):
            connection, data = sent(port, f"GET {path} HTTP/1.0\n\n"), b""
            while part := connection.recv(1 << 20):
                data += part
            head, _, body = data.partition(b"\r\n\r\n")
            assert b"transfer-encoding" not in head.lower()
            assert f"content-length: {len(body)}".encode() in head.lower()
            assert len(body) >= size


def test_a_warning_of_the_server_is_a_line_of_json() -> None:
    with small_server() as (process, port):
        sent(port, "NO HTTP\n\n").recv(1000)
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    lines = [json.loads(line) for line in errors.decode().splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [("warning", "Invalid HTTP request received.")]


def test_a_body_without_a_length_is_counted_as_it_comes() -> None:
    with small_server(seconds=5) as (_, port):
        connection = sent(port, POST + "Transfer-Encoding: chunked\n\n")
        with contextlib.suppress(OSError):
            for _ in range(LARGEST // 65536 + 2):
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"413" in connection.recv(200)
        asked(port)


def test_a_whole_body_reaches_the_application() -> None:
    with small_server() as (_, port):
        body = b"x" * (3 * 1024 * 1024)
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, {"Content-Type": "text/csv"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert int(answer.read().split()[1]) == len(body)


def test_a_body_in_chunks_reaches_the_application_with_its_length() -> None:
    with small_server() as (_, port):
        connection = sent(port, POST + "Transfer-Encoding: chunked\nConnection: close\n\n", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        with connection.makefile("rb") as answer:
            assert answer.read().endswith(b" 5")


def test_a_large_answer_is_sent_in_parts_and_arrives_whole() -> None:
    with small_server(seconds=10) as (_, port), urllib.request.urlopen(f"http://127.0.0.1:{port}/large", timeout=20) as answer:
        assert len(answer.read()) == 40 * 1024 * 1024


def test_an_application_that_raises_instead_of_answering_gives_a_problem_document_and_no_empty_500() -> None:
    with small_server() as (_, port):
        status, problem = answer_to(sent(port, "GET /fails HTTP/1.1\nHost: x\nConnection: close\n\n"))
        assert (status, problem["type"], problem["status"]) == ("503", "urn:sifilma:problem:unavailable", 503)


@pytest.mark.parametrize("path", ["/breaks", "/broken"], ids=["after_3_mb", "after_its_first_part"])
def test_an_answer_that_breaks_off_cannot_be_taken_for_a_whole_one(path: str) -> None:
    with (
        small_server() as (_, port),
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer,
        pytest.raises(http.client.IncompleteRead),
    ):
        answer.read()


def test_those_who_do_not_read_a_large_answer_are_cut_off_and_free_their_threads() -> None:
    with small_server(seconds=1) as (_, port):
        for _ in range(4):  # as many as there are threads
            sent(port, "GET /large HTTP/1.1\nHost: x\n\n")
        time.sleep(0.3)
        began = time.monotonic()
        asked(port, timeout=10)
        assert time.monotonic() - began < 4


def test_those_who_do_not_read_hold_no_thread_meanwhile() -> None:
    with small_server(seconds=20) as (_, port):
        for _ in range(4):  # as many as there are threads
            sent(port, "GET /large HTTP/1.1\nHost: x\n\n")
        began = time.monotonic()
        for _ in range(4):
            asked(port, timeout=10)
        assert time.monotonic() - began < 4


def test_the_beginning_of_a_stream_is_sent_before_its_end_is_made() -> None:
    with small_server() as (_, port):
        began = time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/later", timeout=20) as answer:
            assert answer.read(11) == b"beginning, "
            assert time.monotonic() - began < 1.5
            assert answer.read() == b"end"


def test_nobody_forges_an_address_by_a_header() -> None:
    with small_server() as (_, port):
        connection = sent(port, "GET /seen HTTP/1.1\nHost: x\nX-Forwarded-For: 6.6.6.6\nX_Forwarded_For: 7.7.7.7\nConnection: close\n\n")
        with connection.makefile("rb") as answer:
            assert b"127.0.0.1 6.6.6.6" in answer.read()


def test_a_line_end_after_an_answer_keeps_no_connection_open() -> None:
    with small_server(seconds=1) as (_, port):
        connection = sent(port, "GET / HTTP/1.1\nHost: x\n\n")
        connection.recv(1000)
        connection.sendall(b"\r\n")
        began = time.monotonic()
        while connection.recv(1000):
            pass
        assert time.monotonic() - began < 4


def test_more_requests_than_can_wait_are_refused_at_once() -> None:
    with small_server() as (_, port):
        waiting = [sent(port, "GET /slow HTTP/1.1\nHost: x\nConnection: close\n\n") for _ in range(64)]
        time.sleep(0.2)
        assert answer_to(sent(port, "GET / HTTP/1.1\nHost: x\n\n"))[0] == "503"
        for connection in waiting:
            connection.close()
        time.sleep(0.7)  # the four at work end; those who have gone cost no thread
        began = time.monotonic()
        asked(port)
        assert time.monotonic() - began < 1


def test_a_killed_process_is_replaced_while_the_others_serve() -> None:
    with small_server(count=2) as (_, port):
        seen = {asked(port) for _ in range(60)}
        killed = seen.pop()
        os.kill(killed, signal.SIGKILL)
        until = time.monotonic() + 10
        answered: set[int] = set()
        while len(answered - {killed}) < 2 and time.monotonic() < until:
            with contextlib.suppress(OSError):
                answered.add(asked(port))
        assert len(answered - {killed}) == 2


def test_a_frozen_process_is_replaced() -> None:
    with small_server(still=2) as (_, port):
        frozen = asked(port)
        os.kill(frozen, signal.SIGSTOP)
        until = time.monotonic() + 12
        found = frozen
        while found == frozen and time.monotonic() < until:
            with contextlib.suppress(OSError):
                found = asked(port, timeout=1)
        assert found != frozen


@pytest.mark.parametrize(("number", "within"), [(signal.SIGKILL, 3), (signal.SIGSTOP, 8)], ids=["killed", "frozen"])
def test_a_worker_that_is_killed_or_frozen_is_replaced_within_seconds(number: signal.Signals, within: float) -> None:
    with small_server(still=3) as (process, port):
        until = time.monotonic() + 10
        while not (found := named(process.pid, "sifilma-worker")) and time.monotonic() < until:
            time.sleep(0.05)
        [first] = found
        time.sleep(1.1)  # it lived long enough to be replaced at once
        os.kill(first, number)
        until = time.monotonic() + within
        while (found := named(process.pid, "sifilma-worker")) in ([], [first]) and time.monotonic() < until:
            time.sleep(0.05)
        assert len(found) == 1
        assert found != [first]
        asked(port)


def test_a_worker_that_dies_at_once_is_started_again_after_growing_pauses_while_the_server_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_WORKER_DIES", "1")
    with small_server() as (process, port):
        before, began = ticks(process.pid), time.monotonic()
        time.sleep(3.5)
        assert ticks(process.pid) - before < 100, "the supervisor waits for the pause in a busy loop"
        asked(port)
        process.terminate()
        assert process.wait(8) == 0
        lived = time.monotonic() - began
        assert 2 <= process.stderr.read().count(b"process_died") <= 2 + lived // 3  # begun at 0, 1, 3, 7 s


def ticks(pid: int) -> int:
    """The processor time of a process, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_request_at_work_is_answered_before_the_server_ends() -> None:
    with small_server() as (process, port):
        connection = sent(port, "GET /slow HTTP/1.1\nHost: x\n\n")
        time.sleep(0.1)
        process.terminate()
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert process.wait(5) == 0


def test_a_stop_ends_in_time_whatever_signals_come_in_whatever_order() -> None:
    drawn = random.Random(20261129)
    for number in range(STOPS):
        signals = [drawn.choice((signal.SIGTERM, signal.SIGINT)) for _ in range(drawn.randint(2, 5))]
        with small_server(count=drawn.randint(1, 2)) as (process, port):
            present = [*named(process.pid, "sifilma-server"), *named(process.pid, "sifilma-worker")]
            to_group = drawn.random() < 0.5
            for one in signals:
                with contextlib.suppress(ProcessLookupError):
                    (os.killpg if to_group else os.kill)(process.pid, one)
                time.sleep(drawn.choice((0, 0.00003, 0.001)))
            try:
                assert process.wait(8) == 0, (number, signals, to_group)
            except subprocess.TimeoutExpired:
                pytest.fail(f"stop {number} hangs: {signals}, to the group: {to_group}")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                pytest.fail("the port is still bound")
            assert [one for one in present if Path(f"/proc/{one}").exists()] == []


def test_servers_and_worker_whose_supervisor_was_killed_end() -> None:
    with small_server() as (process, port):
        left = [asked(port), *named(process.pid, "sifilma-worker")]
        process.kill()
        until = time.monotonic() + 10
        while time.monotonic() < until and any(Path(f"/proc/{one}").exists() for one in left):
            time.sleep(0.1)
        assert [one for one in left if Path(f"/proc/{one}").exists()] == []


def test_a_taken_port_is_refused_in_words() -> None:
    with small_server() as (_, port):
        command = [sys.executable, "-m", "tests.commands.small_server", str(port), "1", "1", "3"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1
        assert f"127.0.0.1:{port} cannot be had: another program listens there" in done.stderr


def test_the_worker_of_a_whole_installation_that_was_killed_works_again_within_seconds(sqlite_world: World) -> None:
    world, port = sqlite_world, free_port()
    command = [sys.executable, "-m", "sifilma", "up", "--port", str(port)]
    with (world.settings.home / "up.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment(world), stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 60
        while not named(process.pid, "sifilma-worker") and time.monotonic() < until:
            time.sleep(0.1)
        [first] = named(process.pid, "sifilma-worker")
        time.sleep(1.1)
        os.kill(first, signal.SIGKILL)
        until = time.monotonic() + 5
        while (second := named(process.pid, "sifilma-worker")) in ([], [first]) and time.monotonic() < until:
            time.sleep(0.05)
        assert len(second) == 1
        done(world.client("magetan.kepala").post("/units", {"hardware_number": "A-1", "model": "LEN-CRD-1", "function": "R"}), 201)
        until = time.monotonic() + 15
        while (waiting := world.sql("SELECT COUNT(*) FROM audit_pending")) != [(0,)] and time.monotonic() < until:
            time.sleep(0.1)
        assert waiting == [(0,)], "the act is not taken into the log"
        process.terminate()
        assert process.wait(20) == 0
        assert not Path(f"/proc/{second[0]}").exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
