"""The process of one HSM (`hsm.remote` starts it): it loads the library, and does for each connection one operation after the other."""

from __future__ import annotations

import os
import socket
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from cryptography.hazmat.primitives import serialization

from hsm.errors import HSMError
from hsm.module import Module, TokenConfig


def serve(control: socket.socket) -> None:
    """Take connections until whoever started this process has ended."""
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            os._exit(0)  # threads may hang in the library: nothing waits for them
        threading.Thread(target=_answer, args=(Connection(descriptors[0]),), daemon=True).start()


def _answer(connection: Connection) -> None:
    told, pin = connection.recv()
    config = TokenConfig(pin=lambda: pin, **told)
    module = Module.at(config.module_path)
    try:
        while True:
            of, operation, given = connection.recv()
            result, error = _done(module, config, of, operation, given)
            connection.send((result, error, module.generation))
    except (EOFError, OSError):
        return


def _done(module: Module, config: TokenConfig, of: str, operation: str, given: tuple[Any, ...]) -> tuple[Any, HSMError | str | None]:
    try:
        if of == "module":
            return getattr(module, operation)(config), None
        return module.here(config, lambda session: _plain(getattr(session, operation)(*given))), None
    except HSMError as error:
        return None, error
    except Exception as error:  # noqa: BLE001  # the caller's process says it; this one goes on
        return None, f"{type(error).__name__}: {error}"


def _plain(result: Any) -> Any:
    """Return a result as it can be sent: a public key as its point."""
    if not hasattr(result, "public_bytes"):
        return result
    return result.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
