"""Restarts the library forty times while six threads sign.

Arguments: library, token label, lock file. Prints the number of restarts.
"""

from __future__ import annotations

import sys
import threading
import time

from tests.hsm.token_access import DIGEST, sound, token_of
from tests.support.simultaneous_calls import run_simultaneously

RESTARTS = 40


def main(arguments: list[str]) -> None:
    token, ended = token_of(arguments), threading.Event()
    token.sign("manifest-sign", DIGEST)

    def busy() -> None:
        while not ended.is_set():
            assert sound(token.public_key("manifest-sign"), token.sign("manifest-sign", DIGEST))

    def restart() -> None:
        try:
            for _ in range(RESTARTS):
                token.module._last_restart = 0.0  # past the throttle
                token.module._restart(token.config, token.module.generation)
                time.sleep(0.01)
        finally:
            ended.set()

    run_simultaneously([busy] * 6 + [restart])
    print(token.module.restarts)


if __name__ == "__main__":
    main(sys.argv[1:])
