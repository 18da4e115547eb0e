"""The programs of the system the tests call. A missing one is a failure with the way out, never a skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOCODE = Path("/usr/share/gocode")
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


class ProgramMissing(Exception):
    """The machine was not set up."""


def program(name: str) -> str:
    """The full path of a program; ProgramMissing where there is none."""
    found = shutil.which(name)
    if found is None:
        raise ProgramMissing(f"{name} is not installed: run scripts/setup.sh")
    return found


def postgresql() -> Path:
    """The folder of the newest PostgreSQL server programs (`initdb`, `pg_ctl`), which Debian keeps off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else Path(program("initdb")).resolve().parent


def softhsm_module() -> str:
    """The SoftHSM library."""
    if not SOFTHSM.exists():
        raise ProgramMissing("SoftHSM is not installed: run scripts/setup.sh")
    return str(SOFTHSM)


def go_program(source: Path, output: Path) -> Path:
    """A Go program built with nothing but the distribution's packages; no module is looked for anywhere else."""
    settings = {"GO111MODULE": "off", "GOPATH": str(GOCODE), "GOCACHE": str(output.with_suffix(".cache")), "PATH": os.environ["PATH"]}
    if not (GOCODE / "src/golang.org/x/mod/sumdb/tlog").exists():
        raise ProgramMissing("golang.org/x/mod is not installed: run scripts/setup.sh")
    subprocess.run([program("go"), "build", "-o", str(output), str(source)], env=settings, check=True, timeout=300)
    return output


def chromium() -> str:
    """The browser: the distribution's, or the one the set-up keeps in the checkout (Ubuntu)."""
    return _kept_browser("chromium-*/chrome-linux*/chrome") or program("chromium")


def headless_chromium() -> str:
    """The browser without its windows: two thirds of the work, all the same but its viewer of PDFs. The whole one where this is not."""
    return _kept_browser("chromium_headless_shell-*/*/*headless[-_]shell") or shutil.which("chromium-headless-shell") or chromium()


def _kept_browser(pattern: str) -> str | None:
    return max(map(str, (ROOT / ".cache" / "browsers").glob(pattern)), default=None)


def node() -> list[str]:
    """The command that runs JavaScript with Web Crypto at hand: Node 18 (Debian 12) has it behind this switch."""
    return [program("node"), "--experimental-global-webcrypto", "--no-warnings"]
