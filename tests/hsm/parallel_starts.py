"""Starts processes that load the library, log in and sign at the same moment, in several rounds.

Arguments: library, token label, lock file, processes, rounds. Prints the exit codes of each round. Each process is forked from a
parent that has not loaded the library, so that it loads the library itself without the cost of a new interpreter.
"""

from __future__ import annotations

import os
import sys
import time

from tests.hsm.token_access import DIGEST, sound, token_of


def _start(where: list[str], at: float) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            token = token_of(where)
            time.sleep(max(0.0, at - time.monotonic()))
            code = 0 if sound(token.public_key("manifest-sign"), token.sign("manifest-sign", DIGEST)) and not token.module.restarts else 2
        finally:
            os._exit(code)
    return child


def main(arguments: list[str]) -> None:
    *where, processes, rounds = arguments
    for _ in range(int(rounds)):
        at = time.monotonic() + 0.05
        children = [_start(where, at) for _ in range(int(processes))]
        print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


if __name__ == "__main__":
    main(sys.argv[1:])
