"""Real PKCS#11 tokens for tests: SoftHSM in a folder of its own, and tokens with the project's keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hsm import HSM, KeyPlan, TokenConfig, ceremony, softhsm
from tests.support import programs

PIN = "123456"
SO_PIN = "87654321"


class SoftHSM:
    """One SoftHSM store. Call `activate` before this process loads the library: it reads its configuration once.

    One that is `apart` has a copy of the library, and needs no `activate`: it is another HSM to this process.
    """

    def __init__(self, base: Path, *, apart: bool = False) -> None:
        self.base = base
        self.tokens = base / "tokens"
        self.configuration = base / "softhsm2.conf"
        self.module_path = programs.softhsm_module()
        self._apart = softhsm.configure(base) if apart else None
        if apart:
            self.module_path = str(softhsm.copy(Path(self.module_path), base))

    def activate(self) -> None:
        """Write the configuration and point this process, and those it starts, to it."""
        self.tokens.mkdir(mode=0o700)
        lines = {
            "directories.tokendir": str(self.tokens),
            "objectstore.backend": "file",
            "log.level": "ERROR",
            "library.reset_on_fork": "true",  # a forked child must initialise the library again, as with real modules
        }
        self.configuration.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        os.environ["SOFTHSM2_CONF"] = str(self.configuration)

    def init_token(self, label: str, pin: str = PIN) -> None:
        """Make an empty token of this label."""
        command = [programs.program("softhsm2-util"), "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", pin]
        subprocess.run(command, check=True, capture_output=True)

    def config(self, label: str, *, pin: Callable[[], str] = lambda: PIN, timeout: float = 5.0) -> TokenConfig:
        """Return the configuration of a token of this store; `timeout` is in seconds."""
        return TokenConfig(self.module_path, label, pin, self.base / "hsm.lock", call_timeout=timeout, configuration=self._apart)

    def token(self, label: str, plan: Sequence[KeyPlan], before_call: Callable[[], None] = lambda: None) -> HSM:
        """Make a token with these keys by the project's own ceremony."""
        token = HSM(self.config(label), before_call)
        ceremony.init_token(token, SO_PIN)
        ceremony.create_keys(token, plan)
        return token

    @contextmanager
    def away(self) -> Iterator[None]:
        """Hide the tokens within the block; they are back after it even if it raises."""
        hidden = self.tokens.with_name("tokens.away")
        self.tokens.rename(hidden)
        try:
            yield
        finally:
            hidden.rename(self.tokens)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Have whoever reads a file of the tokens wait within the block, as for an HSM that does not answer. Then all is as before."""
        files = sorted(self.tokens.glob("*/*.object"))
        for file in files:
            file.rename(file.with_suffix(".kept-apart"))
            os.mkfifo(file)
        try:
            yield
        finally:
            pipes = [file.with_suffix(".pipe") for file in files]
            for file, pipe in zip(files, pipes, strict=True):
                file.rename(pipe)
                file.with_suffix(".kept-apart").rename(file)
            _release(pipes)


def _release(pipes: Sequence[Path]) -> None:
    """Let go whoever waits to read one of these, until nobody has come for a while, and remove them."""
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        for pipe in pipes:
            with suppress(OSError):  # nobody waits at this one
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
                until = time.monotonic() + 0.5
        time.sleep(0.02)
    for pipe in pipes:
        pipe.unlink()


def install() -> SoftHSM:
    """Make and activate the store of this process."""
    store = SoftHSM(Path(tempfile.mkdtemp(prefix="sif-hsm-")))
    store.activate()
    return store


def uninstall(store: SoftHSM) -> None:
    """Remove the store's folder."""
    shutil.rmtree(store.base)
