"""config/nginx.conf as a real nginx runs it, before our real server: limits, time-outs, headers, what is closed, what is not repeated."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from tests.commands import nginx_proxy as nginx
from tests.commands.nginx_proxy import NAME, Proxy
from tests.commands.test_supervisor import small_server
from tests.support import servers
from tests.support.programs import ROOT
from tests.support.servers import free_port
from tests.support.world import PASSWORD, World


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Our front door behind nginx. It is named as two nodes, beside a third that is dead: what is asked again is asked of it twice."""
    with small_server(seconds=5) as (_, port), nginx.running(tmp_path_factory.mktemp("nginx"), [port, port, free_port()]) as running:
        yield running


def connected(proxy: Proxy) -> ssl.SSLSocket:
    """A connection over TLS to the service's name."""
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    return context.wrap_socket(socket.create_connection(("127.0.0.1", proxy.port), timeout=10), server_hostname=NAME)


def asked(proxy: Proxy, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes, Any]:
    """Status, body and headers of the answer; header names are written with underscores."""
    connection = http.client.HTTPConnection(NAME, timeout=10)
    connection.sock = connected(proxy)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


def sent(proxy: Proxy, text: str) -> ssl.SSLSocket:
    connection = connected(proxy)
    connection.sendall(text.replace("\n", "\r\n").encode())
    return connection


def ended_after(connection: ssl.SSLSocket) -> float:
    """Seconds until the other side closes."""
    began = time.monotonic()
    with connection, contextlib.suppress(ConnectionError, ssl.SSLError):
        while connection.recv(4096):
            pass
    return time.monotonic() - began


def test_a_head_and_a_body_that_do_not_arrive_are_ended(proxy: Proxy) -> None:
    head = sent(proxy, f"POST / HTTP/1.1\nHost: {NAME}\nContent-Le")
    body = sent(proxy, f"POST / HTTP/1.1\nHost: {NAME}\nContent-Length: 1000\n\nx")
    assert ended_after(head) < 3
    assert ended_after(body) < 3


def test_one_address_has_no_more_connections_than_its_share(proxy: Proxy) -> None:
    slow = [sent(proxy, f"POST / HTTP/1.1\nHost: {NAME}\nContent-Length: 1000\n\nx") for _ in range(45)]
    answers = []
    for connection in slow:
        with connection, contextlib.suppress(ConnectionError, ssl.SSLError):
            answers.append(connection.recv(4096).split(b" ")[1:2])
    assert answers.count([b"429"]) == 5


def test_a_body_that_is_too_large_is_refused_before_it_is_read(proxy: Proxy) -> None:
    largest = Settings.model_fields["max_upload"].default
    with sent(proxy, f"POST / HTTP/1.1\nHost: {NAME}\nContent-Length: {largest + 1}\n\n") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    status, problem, _ = asked(proxy, "/", "POST", b"x" * (7 * 1024 * 1024))  # within nginx's limit, above the node's
    assert (status, json.loads(problem)["type"]) == (413, "urn:sifilma:problem:too-large")


def test_refused_bodies_do_not_make_the_proxy_take_the_nodes_for_dead(proxy: Proxy) -> None:
    """Two refusals within a second were enough, where a node closed while the body was still on its way."""
    for _ in range(4):
        status, _, _ = asked(proxy, "/", "POST", b"[" * (5 * 1024 * 1024), Content_Type="application/json")
        assert status == 413
        assert asked(proxy, "/", "GET", b"x" * 200_000)[0] == 400
    assert asked(proxy, "/")[0] == 200


def test_what_a_client_says_of_itself_is_not_believed(proxy: Proxy) -> None:
    forged: dict[str, Any] = {
        "X_Forwarded_For": "8.8.8.8",
        "X_Forwarded_Proto": "gopher",
        "X_Forwarded_Host": "evil",
        "Forwarded": "for=8.8.8.8",
    }
    seen = json.loads(asked(proxy, "/headers", **forged)[1])
    assert (seen["HTTP_X_FORWARDED_FOR"], seen["HTTP_X_FORWARDED_PROTO"]) == ("127.0.0.1", "https")
    assert seen["HTTP_HOST"] == NAME
    assert not {"HTTP_FORWARDED", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT"} & set(seen)
    assert "8.8.8.8" not in json.dumps(seen)


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
def test_what_is_for_the_inside_is_closed(proxy: Proxy, path: str) -> None:
    status, body, _ = asked(proxy, path)
    assert status == 404
    assert b"nginx" in body  # the node was not asked


def test_the_service_s_own_503_passes_and_nothing_is_asked_twice(proxy: Proxy) -> None:
    for number, method in enumerate(("GET", "POST", "GET"), start=1):
        status, body, headers = asked(proxy, "/busy", method, b"x" if method == "POST" else None)
        assert (status, body, headers["Retry-After"]) == (503, f"busy {number}".encode(), "7")


def test_a_dead_node_is_not_noticed(proxy: Proxy) -> None:
    assert {asked(proxy, "/", method, body)[0] for method, body in (("GET", None), ("POST", b"x")) for _ in range(6)} == {200}


def test_the_file_of_a_list_may_take_longer_than_an_answer_and_a_broken_one_is_not_ended(tmp_path: Path) -> None:
    with small_server(seconds=5) as (_, port), nginx.running(tmp_path, [port], answer=1) as impatient:
        assert asked(impatient, "/later?unduh=csv")[:2] == (200, b"beginning, end")
        for path in ("/later", "/broken?unduh=csv"):
            with pytest.raises(http.client.IncompleteRead):
                asked(impatient, path)


def test_plain_http_leads_to_https_and_a_strange_name_is_not_answered(proxy: Proxy) -> None:
    for host, answered in ((NAME, True), ("evil.example", False)):
        with socket.create_connection(("127.0.0.1", proxy.plain_port), timeout=10) as connection:
            connection.sendall(f"GET /masuk?x=1 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 308") is answered
        assert (f"Location: https://{NAME}/masuk?x=1".encode() in answer) is answered


def test_the_link_of_an_invitation_is_not_logged(proxy: Proxy) -> None:
    asked(proxy, "/undangan/a-secret-link?name=x")
    with socket.create_connection(("127.0.0.1", proxy.plain_port), timeout=10) as plain:
        plain.sendall(f"GET /undangan/a-secret-link HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
        assert b"308" in plain.recv(4096)
    asked(proxy, "/after")
    until = time.monotonic() + 5
    while "/after" not in proxy.log.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    assert proxy.log.read_text().count("/undangan/-") == 2
    assert "secret" not in proxy.log.read_text()


def test_somebody_signs_in_over_https_with_cookies_that_leave_no_other_way(sqlite_world: World, tmp_path: Path) -> None:
    (tmp_path / "nginx").mkdir()
    url = f"https://{NAME}"
    with (
        servers.running(sqlite_world, SIFILMA_HTTPS="true", SIFILMA_TRUSTED_PROXIES="1", SIFILMA_PUBLIC_URL=url) as node,
        nginx.running(tmp_path / "nginx", [node.port]) as proxy,
    ):
        status, page, headers = asked(proxy, "/masuk", Accept="text/html")
        assert (status, b"SI-FILMA" in page) == (200, True)
        assert "max-age=31536000" in headers["Strict-Transport-Security"]
        form = f"username=operator1&password={PASSWORD.replace(' ', '+')}".encode()
        status, _, headers = asked(
            proxy, "/masuk", "POST", form, Content_Type="application/x-www-form-urlencoded", Origin=url, Sec_Fetch_Site="same-origin",
            X_Forwarded_For="8.8.8.8",
        )  # fmt: skip
        cookies = headers.get_all("Set-Cookie")
        assert (status, headers["Location"]) == (303, "/masuk/kode")
        assert [cookie for cookie in cookies if cookie.startswith("__Host-")]
        assert all("; Secure" in cookie and "; HttpOnly" in cookie for cookie in cookies), cookies
    assert sqlite_world.sql("SELECT DISTINCT ip FROM login_session") == [("127.0.0.1",)]


@pytest.mark.parametrize("name", ["sifilma", "sifilma-worker"])
def test_the_units_start_what_there_is_and_stop_later_than_it_ends(name: str) -> None:
    text = (ROOT / "config" / f"{name}.service").read_text()
    unit = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    assert unit["ExecStart"].split()[1:] == [{"sifilma": "serve", "sifilma-worker": "worker"}[name]]
    assert int(unit["TimeoutStopSec"]) > Settings.model_fields["stop_seconds"].default
    assert (unit["Restart"], unit["UMask"], unit["NoNewPrivileges"]) == ("always", "0077", "yes")
