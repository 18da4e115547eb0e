"""The PKCS#11 library of this process: started once with locking, restarted behind a gate, forked safely.

Only this file and `session.py` import `pkcs11`. python-pkcs11 calls C_Initialize(NULL), i.e. without locking, and drops the GIL in
every call: threads then crash SoftHSM. So the library is initialised again through its own function list with
CKF_OS_LOCKING_OK, here and after every restart and fork.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11 import exceptions as p11

from hsm.breaker import Breaker
from hsm.errors import HSMCredential, HSMKeyAmbiguous, HSMKeyMissing, HSMMisuse, HSMUnavailable
from hsm.gate import Gate
from hsm.session import TokenSession
from hsm.workers import Workers

T = TypeVar("T")
CKF_OS_LOCKING_OK = 0x2
CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191
RESTART_EVERY = 1.0
DRAIN = 5.0

CREDENTIAL = (p11.PinIncorrect, p11.PinLocked, p11.PinExpired, p11.PinInvalid, p11.PinLenRange)
MISUSE = (
    p11.MechanismInvalid, p11.MechanismParamInvalid, p11.DataLenRange, p11.DataInvalid, p11.AttributeSensitive, p11.ArgumentsBad,
    p11.EncryptedDataInvalid, p11.EncryptedDataLenRange, p11.KeyTypeInconsistent, p11.TemplateInconsistent, p11.TemplateIncomplete,
    p11.AttributeValueInvalid, p11.AttributeTypeInvalid, p11.SignatureInvalid, p11.SignatureLenRange, p11.FunctionNotSupported,
)  # fmt: skip


@dataclass(frozen=True)
class TokenConfig:
    """How to reach one token. `pin` is asked once per start; `lock_file` serialises logins among processes."""

    module_path: str
    token_label: str
    pin: Callable[[], str]
    lock_file: Path
    token_serial: str | None = None
    call_timeout: float = 5.0


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


class Module:
    """One PKCS#11 library. Get it with `Module.at`: there is one object per library and process."""

    _all: dict[str, Module] = {}  # noqa: RUF012  # the registry
    _all_lock = threading.Lock()

    def __init__(self, path: str, *, locking: bool = True) -> None:
        self.path = path
        self.generation = 0
        self.restarts = 0
        self.last_error = ""
        self._locking = locking
        self._fresh_state()

    def _fresh_state(self) -> None:
        """Everything that must not be shared with a parent process."""
        self._library: Any = None
        self._started = False
        self._logins: dict[str, Any] = {}
        self._refused: dict[str, str] = {}
        self._local = threading.local()
        self._start_lock = threading.RLock()
        self._last_restart = 0.0
        self._gate = Gate()
        self.breaker = Breaker()
        self._workers = Workers()

    @classmethod
    def at(cls, path: str) -> Module:
        """The module object for this library, in this process."""
        with cls._all_lock:
            if path not in cls._all:
                cls._all[path] = cls(path)
            return cls._all[path]

    def call(self, config: TokenConfig, function: Callable[[TokenSession], T]) -> T:
        """Run `function` with a session of this token on a worker thread: one restart and one retry, then an HSMError."""
        if config.token_label in self._refused:
            raise HSMCredential(self._refused[config.token_label])
        self.breaker.check()
        try:
            result = self._workers.run(lambda: self._attempt_twice(config, function), config.call_timeout)
        except HSMUnavailable as gone:
            self.last_error = str(gone)
            self.breaker.failed()
            raise
        self.breaker.succeeded()
        return result

    def _attempt_twice(self, config: TokenConfig, function: Callable[[TokenSession], T]) -> T:
        seen = self.generation
        try:
            return self._attempt(config, function)
        except p11.PKCS11Error as error:
            self._refuse_for_good(config, error)
            self._restart(seen)
        try:
            return self._attempt(config, function)
        except p11.PKCS11Error as error:
            self._refuse_for_good(config, error)
            name = type(error).__name__
            if isinstance(error, p11.NoSuchKey):
                raise HSMKeyMissing(f"token {config.token_label}: a key is missing") from None
            raise HSMUnavailable(f"token {config.token_label}: {name}") from None

    def _attempt(self, config: TokenConfig, function: Callable[[TokenSession], T]) -> T:
        self._start()
        with self._gate.entered(config.call_timeout):
            return function(self._session(config))

    def _refuse_for_good(self, config: TokenConfig, error: p11.PKCS11Error) -> None:
        """Raise for errors that a restart cannot mend."""
        name = type(error).__name__
        self.last_error = name
        if isinstance(error, CREDENTIAL):
            self._refused[config.token_label] = f"token {config.token_label}: {name}; not tried again before a restart"
            raise HSMCredential(self._refused[config.token_label]) from None
        if isinstance(error, p11.MultipleObjectsReturned):
            raise HSMKeyAmbiguous(f"token {config.token_label}: several keys have one label and id") from None
        if isinstance(error, MISUSE):
            raise HSMMisuse(f"token {config.token_label}: {name}") from None

    def has_token(self, label: str) -> bool:
        """Whether the library knows a token of this label; asked before there is anything to log in to."""
        self._start()
        with self._gate.entered(DRAIN):
            return any(token.label == label for token in self._library.get_tokens())

    # --- sessions -----------------------------------------------------------------------------------------------

    def _session(self, config: TokenConfig) -> TokenSession:
        """This thread's PIN-less session on the token, with its cache of key handles."""
        if getattr(self._local, "generation", None) != self.generation:
            self._local.generation, self._local.sessions = self.generation, {}
        sessions: dict[str, TokenSession] = self._local.sessions
        if config.token_label not in sessions:
            token = self._login(config)
            sessions[config.token_label] = TokenSession(token.open(rw=True))
        return sessions[config.token_label]

    def _login(self, config: TokenConfig) -> Any:
        """The token, after one login per process. Under a file lock: SoftHSM rewrites its token file at C_Login."""
        with self._start_lock:
            if config.token_label not in self._logins:
                with _file_lock(config.lock_file):
                    token = self._find_token(config)
                    self._logins[config.token_label] = (token, self._open_with_pin(token, config))
            return self._logins[config.token_label][0]

    def _find_token(self, config: TokenConfig) -> Any:
        wanted = {"token_label": config.token_label}
        if config.token_serial:
            wanted["token_serial"] = config.token_serial.encode()  # type: ignore[assignment]  # python-pkcs11 compares bytes
        return self._library.get_token(**wanted)

    @staticmethod
    def _open_with_pin(token: Any, config: TokenConfig) -> Any:
        """The session that logs in; it is kept for ever, for closing it would log every other session out."""
        try:
            return token.open(rw=True, user_pin=config.pin())
        except p11.UserAlreadyLoggedIn:
            return token.open(rw=True)

    # --- life of the library ------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._started:
            return
        with self._start_lock:
            if not self._started:
                self._load()
                self._initialise()
                self.generation += 1
                self._started = True

    def _load(self) -> None:
        try:
            self._library = pkcs11.lib(self.path)
        except (p11.PKCS11Error, OSError) as error:
            raise HSMUnavailable(f"{self.path} cannot be used: {type(error).__name__}", 30.0) from None

    def _initialise(self) -> None:
        """C_Finalize, then C_Initialize with OS locking, through the library's own function list."""
        functions = ctypes.POINTER(_FunctionList)()
        ctypes.CDLL(self.path).C_GetFunctionList(ctypes.byref(functions))
        call = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)
        call(functions.contents.finalize)(None)
        args = _InitializeArgs(flags=CKF_OS_LOCKING_OK if self._locking else 0)
        result = call(functions.contents.initialize)(ctypes.cast(ctypes.pointer(args), ctypes.c_void_p) if self._locking else None)
        if result not in (0, CKR_CRYPTOKI_ALREADY_INITIALIZED):
            raise HSMUnavailable(f"C_Initialize answered 0x{result:X}")

    def _restart(self, seen: int) -> None:
        """Start the library anew, unless somebody did since generation `seen`; at most once a second."""
        with self._start_lock:
            if self.generation != seen:
                return
            if time.monotonic() - self._last_restart < RESTART_EVERY:
                raise HSMUnavailable(f"the HSM was restarted a moment ago: {self.last_error}", RESTART_EVERY)
            if not self._gate.shut(DRAIN):
                raise HSMUnavailable("HSM calls do not come to an end; no restart is possible")
            try:
                self._last_restart = time.monotonic()
                self._logins.clear()
                self.restarts += 1
                self._initialise()
                self.generation += 1
            finally:
                self._gate.open()

    def close(self) -> None:
        """Finalise the library: for the end of a process or of a test."""
        with self._start_lock:
            if self._started and self._gate.shut(DRAIN):
                self._logins.clear()
                self._library.finalize()
                self._workers.stop()
                self._started = False
                self._refused.clear()
                self._local = threading.local()
                self.breaker = Breaker()
                self._workers = Workers()
                self._gate.open()

    # --- fork ---------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Nobody is inside the library while the process is copied."""
        self._start_lock.acquire()
        self._drained = self._gate.shut(DRAIN)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._drained:
            self._gate.open()
        self._start_lock.release()

    def after_fork_in_child(self) -> None:
        """Nothing of the parent's is used: the library is initialised again at the first call."""
        library = self._library
        self._fresh_state()
        self._library = library


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _each(name: str) -> Callable[[], None]:
    def run() -> None:
        for module in list(Module._all.values()):
            getattr(module, name)()

    return run


os.register_at_fork(
    before=_each("before_fork"), after_in_parent=_each("after_fork_in_parent"), after_in_child=_each("after_fork_in_child")
)
