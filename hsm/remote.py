"""An HSM behind a process of its own: for a library that cannot be loaded twice, and that would hold up both HSMs where it hangs.

The process (`hsm.process`) loads the library and does one operation after the other for each thread here. If it does not answer in time
it is killed, and the next call starts another: a library that hangs for good keeps nothing. It ends with the process that started it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from hsm.errors import HSMCredential, HSMError, HSMMisuse, HSMUnavailable
from hsm.keys import KeyInfo, KeyPlan
from hsm.module import Module, TokenConfig, TokenInfo
from hsm.session import IV, TokenSession

T = TypeVar("T")


class _Process:
    """The process of one token. Each thread here has a connection to it."""

    def __init__(self, config: TokenConfig) -> None:
        self._config = config
        self._control, theirs = socket.socketpair()
        self._connections: list[Connection] = []
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "hsm.process", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,  # a signal to all of ours must not end it before the requests that need it
            )

    def connect(self) -> Connection:
        """Return a new connection. The PIN goes this way, and stands in no argument and no environment."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"."], [theirs.fileno()])
        connection = Connection(ours.detach())
        self._connections.append(connection)
        connection.send((_plain(self._config), self._config.pin()))
        return connection

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill the process. Whoever waits for an answer of it gets an error."""
        self._process.kill()
        self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Close our ends. A forked child does this with its parent's, which go on."""
        self._control.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.close()


def _plain(config: TokenConfig) -> dict[str, Any]:
    """Return what a process is told of a token, without what cannot be sent."""
    return {name: getattr(config, name) for name in config.__dataclass_fields__ if name not in ("pin", "apart")}


class RemoteModule(Module):
    """The library of one token in a process of its own. Workers, breaker and refused PIN are here, gate and restart are there."""

    def __init__(self, config: TokenConfig) -> None:
        self._process: _Process | None = None
        super().__init__(config.module_path)

    @classmethod
    def of(cls, config: TokenConfig) -> RemoteModule:
        """Return the object of this token in this process. Make it at the first call."""
        name = f"{config.module_path}#{config.token_label}"
        found = cls._all.get(name)
        if not isinstance(found, RemoteModule):
            with cls._all_lock:
                found = cls._all.setdefault(name, RemoteModule(config))
        assert isinstance(found, RemoteModule)  # noqa: S101  # no library has such a path
        return found

    def has_token(self, config: TokenConfig) -> bool:
        """Return whether the library lists this token. Raise as `call` does."""
        return bool(self._guarded(config, lambda: self._remote(config).ask("has_token", of="module")))

    def token_info(self, config: TokenConfig) -> TokenInfo:
        """Return what the token says of itself. Raise as `call` does."""
        told: TokenInfo = self._guarded(config, lambda: self._remote(config).ask("token_info", of="module"))
        return told

    def as_officer(self, config: TokenConfig, pin: str, act: Callable[[Any], T]) -> T:
        """Raise HSMMisuse: an officer works with the library in the same process (`HSM.direct`)."""
        raise HSMMisuse("no officer is logged in by another process")

    def close(self) -> None:
        """End the process, and forget a refused PIN."""
        with self._start_lock:
            self._end()
            for workers in self._workers.values():
                workers.stop()
            self._forget()

    def after_fork_in_child(self) -> None:
        """Forget the parent's process: the first call starts another."""
        if self._process is not None:
            self._process.forget()
            self._process = None
        super().after_fork_in_child()

    def _guarded(self, config: TokenConfig, act: Callable[[], T], timeout: float | None = None) -> T:
        try:
            return super()._guarded(config, act, timeout)
        except HSMUnavailable:
            if self.hanging(config):
                self.restarts += 1
                self._end()
            raise

    def _attempts(self, config: TokenConfig, act: Callable[[], T]) -> T:
        try:
            return act()
        except HSMCredential as refused:
            self._refused[config.token_label] = str(refused)
            raise
        except (OSError, EOFError) as gone:
            raise HSMUnavailable(f"token {config.token_label}: its process ended") from gone

    def _session(self, config: TokenConfig) -> TokenSession:
        return self._remote(config)

    def _remote(self, config: TokenConfig) -> RemoteSession:
        """Return this thread's session, of the process that runs now."""
        process = self._process
        if process is None or not process.is_alive():
            with self._start_lock:
                process = self._process
                if process is None or not process.is_alive():
                    process = self._process = _Process(config)
                    self.generation += 1
        if getattr(self._local, "process", None) is not process:
            self._local.process, self._local.session = process, RemoteSession(process.connect(), self)
        session: RemoteSession = self._local.session
        return session

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()


class RemoteSession(TokenSession):
    """A session whose operations are done in the process of the token."""

    def __init__(self, connection: Connection, module: RemoteModule) -> None:
        super().__init__(None)
        self._connection, self._module = connection, module
        self._generation: int | None = None
        self._lock = threading.Lock()

    @property
    def raw(self) -> Any:
        """Raise HSMMisuse: there is no session of python-pkcs11 in this process (`HSM.direct`)."""
        raise HSMMisuse("the session is another process's")

    def ask(self, operation: str, *given: Any, of: str = "session") -> Any:
        """Have an operation done, and return its result. Raise an HSMError, or OSError or EOFError if the process has ended."""
        self._connection.send((of, operation, given))
        result, error, generation = self._connection.recv()
        if generation != self._generation:  # the library there was started anew: keys are searched, and compared, again
            if self._generation is not None:
                self._module.generation += 1
            self._generation = generation
            self.compared.clear()
        if isinstance(error, HSMError):
            raise error
        if error is not None:
            raise HSMUnavailable(f"the HSM's process failed: {error}")
        return result

    def sign(self, label: str, digest: bytes) -> bytes:
        """As `TokenSession.sign`."""
        return bytes(self.ask("sign", label, digest))

    def hmac(self, label: str, message: bytes) -> bytes:
        """As `TokenSession.hmac`."""
        return bytes(self.ask("hmac", label, message))

    def cmac(self, label: str, message: bytes) -> bytes:
        """As `TokenSession.cmac`."""
        return bytes(self.ask("cmac", label, message))

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        """As `TokenSession.seal`."""
        return bytes(self.ask("seal", label, plaintext, associated_data))

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes, iv: int = IV) -> bytes:
        """As `TokenSession.open_sealed`."""
        return bytes(self.ask("open_sealed", label, sealed, associated_data, iv))

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """As `TokenSession.public_key`."""
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.ask("public_key", label))

    def info(self, plan: KeyPlan) -> KeyInfo:
        """As `TokenSession.info`."""
        found: KeyInfo = self.ask("info", plan)
        return found

    def forget(self, label: str) -> None:
        """As `TokenSession.forget`."""
        self.ask("forget", label)

    def check_value(self, label: str) -> str:
        """As `TokenSession.check_value`."""
        return str(self.ask("check_value", label))

    def labels(self) -> list[tuple[str, bytes, str]]:
        """As `TokenSession.labels`."""
        return list(self.ask("labels"))

    def exists(self, plan: KeyPlan) -> bool:
        """As `TokenSession.exists`."""
        return bool(self.ask("exists", plan))

    def generate(self, plan: KeyPlan) -> None:
        """As `TokenSession.generate`."""
        self.ask("generate", plan)

    def destroy(self, label: str) -> None:
        """As `TokenSession.destroy`."""
        self.ask("destroy", label)
