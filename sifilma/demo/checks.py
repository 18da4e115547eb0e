"""Check files as a stranger does: with jose, OpenSSL and our verifier. Each command is shown, and run if its program is installed."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import utils

from manifests import cli
from sifilma.demo.people import Refused
from sifilma.demo.stage import Stage


def trust_files(stage: Stage) -> str:
    """Store keyset, JWKS and certificates beside the manifests, and return the root's pin."""
    for name, path in (
        ("keyset.jws", "/.well-known/sam-keyset.jws"),
        ("jwks.json", "/.well-known/jwks.json"),
        ("root.crt", "/.well-known/sam-root.crt"),
        ("manifest-sign.crt", "/.well-known/sam-manifest-sign.crt"),
    ):
        stage.keep(name, stage.fetch(path))
    keyset = json.loads(_part(stage.out / "keyset.jws", 1))
    stage.keep("signer.pem", _openssl("x509", "-in", "manifest-sign.crt", "-pubkey", "-noout", cwd=stage.out))
    pem = _openssl("x509", "-in", "root.crt", "-pubkey", "-noout", cwd=stage.out)
    der = _openssl("pkey", "-pubin", "-outform", "DER", cwd=stage.out, data=pem)
    pin = _openssl("dgst", "-sha256", "-r", cwd=stage.out, data=der).decode().split()[0]
    stage.say(
        f"keyset version {keyset['version']}, epoch {keyset['epoch']}; the root's pin {pin} (compare it with the one `make run` printed)"
    )
    return pin


def _openssl(*arguments: str, cwd: Path, data: bytes | None = None) -> bytes:
    program = shutil.which("openssl") or "openssl"
    return subprocess.run([program, *arguments], cwd=cwd, input=data, capture_output=True, check=True).stdout  # noqa: S603


def download(stage: Stage, who: str, manifest_id: str, uid: str) -> None:
    """Download the manifest as its holder and check it."""
    data = stage.people[who].post(f"/manifests/{manifest_id}/download")
    check(stage, uid, data)


def check(stage: Stage, uid: str, data: bytes) -> None:
    """Store the manifest, and show and run the commands that verify it."""
    payload = json.loads(_b64(data.split(b".")[1]))
    name = f"{uid}-{payload['seq']}"
    stage.keep(f"{name}.jws", data)
    head, body, signature = data.split(b".")
    raw = _b64(signature)
    stage.keep(f"{name}.signed", head + b"." + body)
    stage.keep(f"{name}.der", utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")))
    number = payload["status"]["uri"].rpartition("/")[2]
    stage.keep(f"status-{number}", stage.fetch(f"/status/{number}"))
    stage.say(f"the manifest {name}.jws, checked by programs that are not ours:")
    for command in (
        f"jose jws ver -i {name}.jws -k jwks.json",
        "openssl verify -CAfile root.crt manifest-sign.crt",
        f"openssl dgst -sha256 -verify signer.pem -signature {name}.der {name}.signed",
    ):
        run(stage, command)
    _ours(stage, name, uid, f"status-{number}")


def run(stage: Stage, command: str) -> None:
    """Show a command and run it in the demo's folder. Raise Refused if it fails."""
    stage.show(f"$ {command}")
    words = shlex.split(command)
    program = shutil.which(words[0])
    if program is None:
        stage.show(f"  ({words[0]} is not installed here)")
        return
    done = subprocess.run([program, *words[1:]], cwd=stage.out, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise Refused(f"`{command}` refused: {done.stderr.strip()}")
    stage.show(f"  → {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else 'exit 0'}")


def _ours(stage: Stage, name: str, uid: str, status: str) -> None:
    pin = (stage.out / "root.sha256").read_text().strip()
    arguments = [f"{name}.jws", "--root-sha256", pin, "--keyset", "keyset.jws", "--status", status, "--uid", uid]
    stage.show(f"$ sifilma manifest verify {shlex.join(arguments)}")
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.chdir(stage.out):
        code = cli.main(["verify", *arguments])
    stage.show(f"  → {out.getvalue().strip()}")
    if code:
        raise Refused(f"our own verifier refuses {name}.jws")


def keep_jwe(stage: Stage, uid: str, encrypted: bytes, opened: bytes, private: dict[str, Any]) -> None:
    """Store the JWE that a machine gets, decrypt it with jose and the unit's key, and check the signed file inside."""
    stage.keep("unit-key.jwk", json.dumps(private).encode())
    stage.keep(f"{uid}.jwe", encrypted)
    stage.say(f"the machine gets the file only encrypted to the unit's key: {uid}.jwe, {len(encrypted)} bytes")
    run(stage, f"jose jwe dec -i {uid}.jwe -k unit-key.jwk -O {uid}.opened")
    opened_by_jose = stage.out / f"{uid}.opened"
    if opened_by_jose.exists() and opened_by_jose.read_bytes() != opened:
        raise Refused("jose opened something else than we sealed")
    check(stage, uid, opened)


def _part(path: Path, index: int) -> bytes:
    return _b64(path.read_bytes().split(b"\n")[0].split(b".")[index])


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))
