"""Forks four children while threads of the parent sign; parent and children continue to sign.

Arguments: library, token label, lock file. Prints the exit codes of the children.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from hsm import HSM
from tests.hsm.token_access import DIGEST, sound, token_of

CHILDREN, SIGNATURES = 4, 50


def _sign(token: HSM, times: int) -> None:
    for _ in range(times):
        assert sound(token.public_key("manifest-sign"), token.sign("manifest-sign", DIGEST))


def _child(token: HSM) -> int:
    generation = token.module.generation
    _sign(token, SIGNATURES)
    assert token.module.generation == generation + 1  # the child initialised the library once more
    assert token.check().ok
    return 0


def _forked(token: HSM) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _child(token)
        finally:
            os._exit(code)
    return child


def main(arguments: list[str]) -> None:
    token, ended = token_of(arguments), threading.Event()

    def busy() -> None:
        while not ended.is_set():
            _sign(token, 1)

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)  # the threads must be signing when the process forks
    children = [_forked(token) for _ in range(CHILDREN)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    ended.set()
    for thread in threads:
        thread.join()
    _sign(token, SIGNATURES)
    print(codes)


if __name__ == "__main__":
    main(sys.argv[1:])
