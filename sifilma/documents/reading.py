"""Have an upload read by a child process of little memory, time and output: the parser of a hostile file works where it can do no harm.

The child is `reader_child` in a Python of its own: isolated from environment and working folder, its standard error thrown away. It
limits its memory and its CPU time before it looks at the file. The parent limits wall time and output, and ends a child that exceeds
them. At most AT_ONCE children of a server process work at a time, so that they need AT_ONCE times 300 MB together.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from sifilma.documents.reader_refusals import BROKEN, REFUSED, TOO_LONG, TOO_MUCH, NotAccepted
from sifilma.kernel import deadline
from sifilma.kernel.errors import Unavailable

ROOT = Path(__file__).resolve().parents[2]
START = "import sys; sys.path.insert(0, sys.argv[1]); from sifilma.documents.reader_child import main; sys.exit(main(*sys.argv[2:]))"
AT_ONCE = 2
CHILD_SECONDS = 10.0  # of time: a child of 2 s of CPU time has five times that on a machine with other work
ANSWER_SECONDS = 1.0
"""Seconds of a request's deadline that are kept for the answer about its file."""
PIECE = 64 * 1024  # bytes: what a pipe holds
LONGEST_LINE = 16 * 1024 * 1024
"""Bytes of one row: 100 cells of as many characters as a spreadsheet program takes."""
LONGEST_REFUSAL = 1024  # bytes, also of a child that is asked for no answer
ROOM = threading.BoundedSemaphore(AT_ONCE)


def read_in_child(kind: str, data: bytes, *arguments: object, most: int) -> bytes:
    """Return what the child prints about the file, at most `most` bytes. `kind` is one of `reader_child.READERS`.

    Raise NotAccepted, or Unavailable if no child can be started, or none has the machine's time to end, within the time of the request.
    """
    until = time.monotonic() + _patience()
    if not ROOM.acquire(timeout=max(0.0, until - time.monotonic())):
        raise Unavailable("Too many files are being read right now.", type="readers-busy")
    try:
        return _answer(kind, data, [str(argument) for argument in arguments], most, until)
    finally:
        ROOM.release()


@contextmanager
def lines_from_child(kind: str, data: bytes, *arguments: object) -> Iterator[Iterator[bytes]]:
    """Give the lines that a child prints about the file, as it prints them. `kind` is one of `reader_child.READERS` that gives pieces.

    The child is ended with the block. The lines raise NotAccepted, and Unavailable where the child is silent for too long.
    """
    if not ROOM.acquire(timeout=_patience()):
        raise Unavailable("Too many files are being read right now.", type="readers-busy")
    try:
        with _as_file(data) as file, _started(file, command_of(kind, *(str(argument) for argument in arguments))) as child:
            try:
                yield _lines_of(child)
            finally:
                child.kill()
    finally:
        ROOM.release()


def _lines_of(child: subprocess.Popen[bytes]) -> Iterator[bytes]:
    pipe, rest = cast(IO[bytes], child.stdout).fileno(), b""
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    while True:
        if not waiting.poll(_patience() * 1000):
            raise _busy()
        piece = os.read(pipe, PIECE)
        if not piece:
            break
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise NotAccepted(TOO_MUCH)
        yield from filter(None, lines)
    try:
        _judged(child.wait(_patience()), rest)  # a reason has no end of line
    except subprocess.TimeoutExpired as late:
        raise _busy() from late


def command_of(kind: str, *arguments: str) -> list[str]:
    """Return the command of a child. Its code is that of its parent, wherever that was started from.

    -I: neither the environment nor the working folder can put modules of their own in place of Python's.
    """
    return [sys.executable, "-I", "-c", START, str(ROOT), kind, *arguments]


def _patience() -> float:
    """Return the seconds that reading a file may take: not longer than the request it came with."""
    left = deadline.remaining()
    return CHILD_SECONDS if left is None else min(CHILD_SECONDS, max(0.0, left - ANSWER_SECONDS))


def _answer(kind: str, data: bytes, arguments: list[str], most: int, until: float) -> bytes:
    command = command_of(kind, *arguments)
    with _as_file(data) as file:
        child = _started(file, command)
    with child:
        try:
            answer = _read(cast(IO[bytes], child.stdout).fileno(), max(most, LONGEST_REFUSAL), until)
            return _judged(child.wait(max(0.0, until - time.monotonic())), answer)
        except subprocess.TimeoutExpired as late:
            raise _busy() from late
        finally:
            child.kill()  # does nothing to one that has ended


def _started(file: IO[bytes], command: list[str]) -> subprocess.Popen[bytes]:
    try:
        # The parent's environment may hold secrets, so the child gets none.
        return subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={})  # noqa: S603
    except OSError as full:
        raise _busy() from full


def _busy() -> Unavailable:
    """Return the refusal for a machine that has other work. A file that takes long by itself meets the child's limit of CPU time first."""
    return Unavailable("The file cannot be read right now.", type="readers-busy")


def _as_file(data: bytes) -> IO[bytes]:
    """Return the data as a file in memory. Unlike a pipe it needs nobody who fills it, and it leaves nothing on a disk."""
    file = os.fdopen(os.memfd_create("upload", os.MFD_CLOEXEC), "w+b")
    file.write(data)
    file.seek(0)
    return file


def _read(pipe: int, most: int, until: float) -> bytes:
    """Read to the end of a pipe. Raise NotAccepted if that is more than `most` bytes, and Unavailable if it is not reached in time."""
    answer = bytearray()
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    while True:
        if not waiting.poll(max(0.0, until - time.monotonic()) * 1000):
            raise _busy()
        piece = os.read(pipe, PIECE)
        if not piece:
            return bytes(answer)
        answer += piece
        if len(answer) > most:
            raise NotAccepted(TOO_MUCH)


def _judged(status: int, answer: bytes) -> bytes:
    if status == 0:
        return answer
    if status == REFUSED:
        told = json.loads(answer)
        raise NotAccepted(told["reason"], **told["facts"])
    if status == -signal.SIGXCPU:
        raise NotAccepted(TOO_LONG)
    # A library that gets no memory aborts; the kernel kills.
    raise NotAccepted(TOO_MUCH if status in (-signal.SIGABRT, -signal.SIGKILL) else BROKEN)
