"""What only SoftHSM needs: token files that a killed process left empty are put back, and two of it live in one process.

SoftHSM truncates and rewrites `token.object` at every login. A process that is killed at that instant leaves it empty, and with it the
token and all its keys are lost. A real HSM keeps no such file, and nothing is done there.

A byte copy of the library is another library to this process, with tokens, locks and a fate of its own; a link to it is the same one.
Which folder of tokens it opens is said by the environment each time it starts.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE, COPY = "token.object", "token.kept"
CONFIGURATION = "SOFTHSM2_CONF"
TOKENS = "directories.tokendir"
READ_WITHIN = 0.5
"""Seconds after which a library that starts has read its configuration, which is the first thing it does."""


def configure(folder: Path) -> Path:
    """Make a folder for tokens, and the configuration that names it. Return the path of the configuration."""
    (folder / "tokens").mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = (
        f"{TOKENS} = {(folder / 'tokens').resolve()}",
        "objectstore.backend = file",
        "log.level = ERROR",
        "library.reset_on_fork = true",  # a forked child must initialise the library again, as with real modules
    )
    path, text = (folder / "softhsm2.conf").resolve(), "\n".join(lines) + "\n"
    if not path.exists() or path.read_text() != text:  # another process may read it at this moment
        path.write_text(text)
    return path


def copy(module: Path, folder: Path) -> Path:
    """Return a byte copy of the library in a folder, made anew where the library is another one than was copied."""
    path = folder / "libsofthsm2.so"
    if not path.exists() or path.read_bytes() != module.read_bytes():
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        shutil.copy(module, temporary)
        temporary.replace(path)
    return path.resolve()


class _Turn:
    """Whose configuration the environment names now. A start that hangs, after it has read its own, holds up no other one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: object = None
        self._before = ""

    def take(self, path: Path) -> object:
        """Have the environment name this configuration. Return what `end` is given."""
        if self._lock.acquire(timeout=READ_WITHIN):
            self._before = os.environ.get(CONFIGURATION, "")
        self._holder = held = object()
        os.environ[CONFIGURATION] = str(path)
        return held

    def end(self, held: object) -> None:
        """Put the environment back, unless another start took the turn since."""
        if self._holder is held:
            self._holder = None
            os.environ[CONFIGURATION] = self._before
            self._lock.release()


_turn = _Turn()


def _new_turn() -> None:
    global _turn  # noqa: PLW0603  # a forked child has a lock of its own: the copied one may be held by a thread that it does not have
    _turn = _Turn()


os.register_at_fork(after_in_child=_new_turn)


@contextmanager
def configured(path: Path | None) -> Iterator[None]:
    """Have a library that starts within the block read this configuration; None leaves what the environment says.

    If two take so long that one reads the other's configuration, it does not find its token: it is unavailable, and starts again later.
    """
    if path is None:
        yield
        return
    turn = _turn
    held = turn.take(path)
    try:
        yield
    finally:
        turn.end(held)


def put_back(configuration: Path | None = None) -> None:
    """Keep a copy of each sound token file, and put the copy in the place of an empty one. The caller holds the lock of logins.

    What cannot be read or written is left as it is: the library then says what is wrong.
    """
    folder = _folder(configuration or Path(os.environ.get(CONFIGURATION, "")))
    for file in sorted(folder.glob(f"*/{FILE}")) if folder else []:
        copy = file.with_name(COPY)
        try:
            held = file.read_bytes()
            kept = copy.read_bytes() if copy.exists() else b""
            if not held and kept:
                _write(file, kept)
            elif held and held != kept:
                _write(copy, held)
        except OSError:
            continue


def _folder(configuration: Path) -> Path | None:
    """Return the folder of SoftHSM's tokens, None where SoftHSM is not configured."""
    try:
        lines = configuration.read_text().splitlines()
    except OSError:
        return None
    pairs = (line.partition("=") for line in lines)
    return next((Path(value.strip()) for name, _, value in pairs if name.strip() == TOKENS), None)


def _write(path: Path, data: bytes) -> None:
    """Write under another name and rename, so that no instant leaves a part of the file."""
    temporary = path.with_name(f".{path.name}.new")  # one name: a process killed here leaves a file that the next one overwrites
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
        handle.write(data)
    temporary.replace(path)
