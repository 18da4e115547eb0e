"""The system programs that tests call. A missing program fails the test and names the setup script; no test is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOCODE = Path("/usr/share/gocode")
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


class ProgramMissing(Exception):
    """A program is missing: the machine was not set up."""


def program(name: str) -> str:
    """Return the full path of a program; ProgramMissing if there is none."""
    found = shutil.which(name)
    if found is None:
        raise ProgramMissing(f"{name} is not installed: run scripts/setup.sh")
    return found


def postgresql() -> Path:
    """Return the folder of the newest PostgreSQL server programs (`initdb`, `pg_ctl`), which Debian does not put on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else Path(program("initdb")).resolve().parent


def softhsm_module() -> str:
    """Return the path of the SoftHSM library; ProgramMissing if there is none."""
    if not SOFTHSM.exists():
        raise ProgramMissing("SoftHSM is not installed: run scripts/setup.sh")
    return str(SOFTHSM)


def go_program(source: Path, output: Path) -> Path:
    """Build a Go program with the distribution's packages alone (no module is downloaded); return its path."""
    settings = {"GO111MODULE": "off", "GOPATH": str(GOCODE), "GOCACHE": str(output.with_suffix(".cache")), "PATH": os.environ["PATH"]}
    if not (GOCODE / "src/golang.org/x/mod/sumdb/tlog").exists():
        raise ProgramMissing("golang.org/x/mod is not installed: run scripts/setup.sh")
    subprocess.run([program("go"), "build", "-o", str(output), str(source)], env=settings, check=True, timeout=300)
    return output


def chromium() -> str:
    """Return the browser that the set-up keeps in the checkout (Ubuntu), or the distribution's."""
    return _kept_browser("chromium-*/chrome-linux*/chrome") or program("chromium")


def headless_chromium() -> str:
    """Return the headless shell, which needs two thirds of the CPU and has no PDF viewer; the full browser if there is none."""
    return _kept_browser("chromium_headless_shell-*/*/*headless[-_]shell") or shutil.which("chromium-headless-shell") or chromium()


def _kept_browser(pattern: str) -> str | None:
    return max(map(str, (ROOT / ".cache" / "browsers").glob(pattern)), default=None)


def node() -> list[str]:
    """Return the command that runs JavaScript with Web Crypto as a global: Node 18 (Debian 12) has it behind this switch."""
    return [program("node"), "--experimental-global-webcrypto", "--no-warnings"]
