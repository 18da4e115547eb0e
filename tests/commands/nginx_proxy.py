"""A real nginx with this project's configuration, on free ports, as a process of the account that runs the tests."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.programs import ROOT, ProgramMissing
from tests.support.servers import free_port

CONFIGURATION = ROOT / "config" / "nginx.conf"
NAME = "sifilma.uji.id"


@dataclass(frozen=True)
class Proxy:
    """An nginx that answers: its ports, and the file with its certificate."""

    port: int
    plain_port: int
    certificate: Path
    log: Path


def program() -> str:
    """Return the path of nginx, which Debian keeps outside the PATH of ordinary accounts."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise ProgramMissing("nginx is not installed: run scripts/setup.sh")
    return found


def rendered(folder: Path, nodes: list[int], ports: tuple[int, int], seconds: int, answer: int) -> str:
    """Return the configuration with other names, ports and nodes, and shorter times. Each change must find its place."""
    plain, secure = ports
    changes = {
        r"sifilma\.example\.go\.id": NAME,
        r"server 127\.0\.0\.1:8000 ([^;]*);": "\n".join(rf"server 127.0.0.1:{node} \1;" for node in nodes),
        r"listen (\[::\]:)?443[^;]*default_server;|listen \[::\]:\d+[^;]*;": "",
        r"listen 80( default_server)?;": rf"listen 127.0.0.1:{plain}\1;",
        r"listen 443 ": f"listen 127.0.0.1:{secure} ",
        r"ssl_reject_handshake on;": "",
        r"/etc/ssl/sifilma\.pem": str(folder / "certificate.pem"),
        r"/etc/ssl/private/sifilma\.key": str(folder / "key.pem"),
        r"/var/log/nginx/sifilma\.log": str(folder / "access.log"),
        r"(client_header_timeout|client_body_timeout) 10s;": rf"\1 {seconds}s;",
        r"proxy_read_timeout 12s;": f"proxy_read_timeout {answer}s;",
    }
    text = CONFIGURATION.read_text()
    for place, change in changes.items():
        text, count = re.subn(place, change, text)
        assert count, place
    return text


@contextmanager
def running(folder: Path, nodes: list[int], *, seconds: int = 1, answer: int = 12) -> Iterator[Proxy]:
    """Yield an nginx in front of servers on these ports of 127.0.0.1; it is ended afterwards.

    `seconds`: its patience with clients; `answer`: with nodes.
    """
    ports = free_port(), free_port()
    self_signed(folder / "certificate.pem", folder / "key.pem", NAME)
    (folder / "site.conf").write_text(rendered(folder, nodes, ports, seconds, answer))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""  # else the workers may not read the folder
    (folder / "nginx.conf").write_text(
        f"{user} worker_processes 1; daemon off; pid {folder / 'pid'}; error_log {folder / 'error.log'} warn;\n"
        f"events {{ worker_connections 512; }}\nhttp {{ {temporary}\ninclude {folder / 'site.conf'}; }}\n"
    )
    command = [program(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command)
    try:
        _wait(process, ports[1], folder / "error.log")
        yield Proxy(ports[1], ports[0], folder / "certificate.pem", folder / "access.log")
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(log.read_text()[-2000:])


def self_signed(certificate: Path, key: Path, name: str) -> None:
    """Write certificate and key (PEM) of a server of this name, valid for an hour."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.touch(mode=0o600)
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
