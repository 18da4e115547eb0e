"""Calls every operation from eight threads for some seconds. `off` disables OS locking, to show the crash that locking prevents.

Arguments: library, token label, lock file, seconds, on|off. Prints the number of operations.
"""

from __future__ import annotations

import sys
import time

from hsm import HSM
from hsm.module import Module
from tests.hsm.token_access import DIGEST, sound, token_of
from tests.support.simultaneous_calls import run_simultaneously

THREADS = 8
UID = bytes(range(8))


def _one_of_each(token: HSM, mac: bytes, open_key: bytes) -> int:
    assert sound(token.public_key("manifest-sign"), token.sign("manifest-sign", DIGEST))
    assert token.hmac("token-mac", b"message") == mac
    assert token.derive_open_key(1, UID) == open_key
    assert token.open_sealed("seal-kek", token.seal("seal-kek", b"secret", b"aad"), b"aad") == b"secret"
    assert len(token.labels()) == 8
    return 6


def _until(token: HSM, end: float) -> int:
    count, mac, open_key = 0, token.hmac("token-mac", b"message"), token.derive_open_key(1, UID)
    while time.monotonic() < end:
        count += _one_of_each(token, mac, open_key)
    return count


def main(arguments: list[str]) -> None:
    *where, seconds, locking = arguments
    if locking == "off":
        Module._all[where[0]] = Module(where[0], locking=False)
    token, end = token_of(where), time.monotonic() + float(seconds)
    print(sum(run_simultaneously([lambda: _until(token, end)] * THREADS)))
    token.close()


if __name__ == "__main__":
    main(sys.argv[1:])
