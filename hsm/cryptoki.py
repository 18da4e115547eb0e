"""Call C_Initialize and C_Finalize through ctypes, and serialise library starts among processes with a file lock.

python-pkcs11 calls C_Initialize(NULL), which switches the library's own locking off, and it releases the GIL in every call. SoftHSM
then crashes as soon as two threads use it. This module therefore initialises the library again, through the library's own function
list, with CKF_OS_LOCKING_OK.
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
    # The beginning of CK_FUNCTION_LIST (PKCS#11, section 5): only the first two functions are called, so the rest is left out.
    _fields_ = (("version", ctypes.c_ubyte * 2), ("initialize", ctypes.c_void_p), ("finalize", ctypes.c_void_p))


_CALL = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)


def initialise(path: str, *, locking: bool) -> None:
    """Call C_Finalize, then C_Initialize with CKF_OS_LOCKING_OK (NULL arguments if not `locking`).

    Raise HSMUnavailable unless C_Initialize answers CKR_OK. CKR_CRYPTOKI_ALREADY_INITIALIZED is an error too: it would mean that the
    library still runs as python-pkcs11 started it, without locking.
    """
    finalise(path)
    # python-pkcs11 has initialised the library already, without locking: hence C_Finalize first.
    args = _InitializeArgs(flags=CKF_OS_LOCKING_OK)
    result = _CALL(_functions(path).initialize)(ctypes.cast(ctypes.pointer(args), ctypes.c_void_p) if locking else None)
    if result:
        raise HSMUnavailable(f"C_Initialize answered 0x{result:X}")


def finalise(path: str) -> None:
    """Call C_Finalize and ignore its answer: if the library was not initialised, the wanted state is reached already."""
    _CALL(_functions(path).finalize)(None)


def _functions(path: str) -> _FunctionList:
    functions = ctypes.POINTER(_FunctionList)()
    # The loader returns the library that python-pkcs11 has already loaded from this path, with the same state.
    ctypes.CDLL(path).C_GetFunctionList(ctypes.byref(functions))
    return functions.contents


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` among processes. Raise HSMUnavailable if the file cannot be opened.

    SoftHSM truncates and rewrites its token file at C_Login. A process that starts the library at that instant does not find the token,
    so logins and starts take this lock.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise HSMUnavailable(f"{path} cannot be opened: {type(error).__name__}", 30.0) from None
    with handle:
        # Closing the file ends the lock. The kernel does so too when the process dies, so a crash leaves no lock behind.
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
