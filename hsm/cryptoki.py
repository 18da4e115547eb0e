"""C_Initialize and C_Finalize by ctypes, and the lock that serialises starts among processes.

python-pkcs11 calls C_Initialize(NULL), i.e. without locking, and drops the GIL in every call: threads then crash SoftHSM. So the
library is initialised again through its own function list with CKF_OS_LOCKING_OK.
"""

from __future__ import annotations

import ctypes
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsm.errors import HSMUnavailable

CKF_OS_LOCKING_OK = 0x2


class _InitializeArgs(ctypes.Structure):
    _fields_ = (
        ("create_mutex", ctypes.c_void_p),
        ("destroy_mutex", ctypes.c_void_p),
        ("lock_mutex", ctypes.c_void_p),
        ("unlock_mutex", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    )


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("initialize", ctypes.c_void_p), ("finalize", ctypes.c_void_p))


_CALL = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)


def initialise(path: str, *, locking: bool) -> None:
    """C_Finalize, then C_Initialize; HSMUnavailable unless it answers CKR_OK ("already initialised" would mean: without locking)."""
    finalise(path)
    args = _InitializeArgs(flags=CKF_OS_LOCKING_OK)
    result = _CALL(_functions(path).initialize)(ctypes.cast(ctypes.pointer(args), ctypes.c_void_p) if locking else None)
    if result:
        raise HSMUnavailable(f"C_Initialize answered 0x{result:X}")


def finalise(path: str) -> None:
    """C_Finalize. What it answers is of no use: a library that is not initialised is what was wanted."""
    _CALL(_functions(path).finalize)(None)


def _functions(path: str) -> _FunctionList:
    functions = ctypes.POINTER(_FunctionList)()
    ctypes.CDLL(path).C_GetFunctionList(ctypes.byref(functions))
    return functions.contents


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Held by one process at a time: SoftHSM rewrites its token file at C_Login, and a start at that instant misses the token."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise HSMUnavailable(f"{path} cannot be opened: {type(error).__name__}", 30.0) from None
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
