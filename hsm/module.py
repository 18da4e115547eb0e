"""The PKCS#11 library of this process: it is started once with locking, restarted behind a gate, and loaded anew after a fork.

Only this file, `session.py` and `transport.py` import `pkcs11`. `cryptoki.py` switches locking on, here and after every restart and fork.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11 import exceptions as p11

from hsm import cryptoki, softhsm
from hsm.breaker import Breaker
from hsm.errors import HSMCredential, HSMKeyAmbiguous, HSMKeyMissing, HSMMisuse, HSMRefused, HSMUnavailable
from hsm.gate import Gate
from hsm.session import TokenSession
from hsm.workers import Workers

T = TypeVar("T")
RESTART_EVERY = 1.0  # seconds
DRAIN = 5.0  # seconds to wait for calls to end before a restart, a fork or the end
OFFICER_TRIES = 20
"""How often an officer's login is tried anew because another thread logged the user in first."""

# The two groups of errors that a restart of the library cannot cure. Any other PKCS11Error is treated as an outage: one restart, one retry.
# Before the restart a stale handle (below) is searched anew: it alone is no outage.
CREDENTIAL = (p11.PinIncorrect, p11.PinLocked, p11.PinExpired, p11.PinInvalid, p11.PinLenRange)
MISUSE = (
    p11.MechanismInvalid, p11.MechanismParamInvalid, p11.DataLenRange, p11.DataInvalid, p11.AttributeSensitive, p11.ArgumentsBad,
    p11.EncryptedDataInvalid, p11.EncryptedDataLenRange, p11.KeyTypeInconsistent, p11.TemplateInconsistent, p11.TemplateIncomplete,
    p11.AttributeValueInvalid, p11.AttributeTypeInvalid, p11.SignatureInvalid, p11.SignatureLenRange, p11.FunctionNotSupported,
    p11.KeySizeRange,
)  # fmt: skip
STALE = (p11.ObjectHandleInvalid, p11.KeyHandleInvalid)
"""The object of a handle is gone, or is another one: somebody destroyed the key, or put another in its place, since it was searched."""
ACTION_PROHIBITED = " 0x1b"  # CKR_ACTION_PROHIBITED, which python-pkcs11 has no class for: it names the code


class _UserCameFirst(Exception):
    """Another thread logged the user in between the end of all sessions and the officer's login."""


@dataclass(frozen=True)
class TokenConfig:
    """How to reach one token.

    `pin` is called at the login, once per start of the library. `lock_file` serialises logins among processes. `call_timeout` is in
    seconds. `token_serial` chooses among tokens of the same label. A token is not opened if its maker or model contains one of
    `refused_makers` (lower case): a library can have any name, but it says what the token is. `configuration` is the file that SoftHSM
    reads when it starts, where two libraries in one process read different ones; else the environment names it. The library of a token that
    is `apart` is loaded by a process of its own (`hsm.remote`).
    """

    module_path: str
    token_label: str
    pin: Callable[[], str]
    lock_file: Path
    token_serial: str | None = None
    call_timeout: float = 5.0
    refused_makers: tuple[str, ...] = ()
    configuration: Path | None = None
    apart: bool = False


@dataclass(frozen=True)
class TokenInfo:
    """What a token says of itself (C_GetTokenInfo), without a login. `library` is maker and version of the PKCS#11 library."""

    label: str
    serial: str
    maker: str
    model: str
    library: str


class Module:
    """One PKCS#11 library. Get it with `Module.at`: each process has one object per library, since C_Finalize ends it for all users.

    Workers, breaker and refused PIN are each token's own. Gate and restart are the library's, so two tokens that must not share a fate are
    reached by two libraries (`softhsm.copy`).
    """

    _all: dict[str, Module] = {}  # noqa: RUF012  # the registry
    _all_lock = threading.Lock()

    def __init__(self, path: str, *, locking: bool = True) -> None:
        self.path = path
        self.generation = 0
        self.restarts = 0
        self.last_error = ""
        self._locking = locking
        self._library: Any = None
        self._unlock()
        self._forget()

    def _unlock(self) -> None:
        """Make new locks, held by nobody. A forked child needs them: a copied lock may be held by a thread that it does not have."""
        self._start_lock = threading.RLock()
        # A second lock: the thread that logs in is inside the gate, while a restart holds _start_lock and waits for the gate to empty.
        self._login_lock = threading.Lock()
        self._gate = Gate()
        # Keyed by thread, since two threads may fork at the same time: whether the start lock was taken, whether the gate was closed.
        self._forks: dict[int, tuple[bool, bool]] = {}

    def _forget(self) -> None:
        """Set the state of a library that was not started: no login, no refused PIN, no session and no worker."""
        self._started = False
        self._last_restart = 0.0
        self._logins: dict[str, Any] = {}
        self._refused: dict[str, str] = {}
        self._local = threading.local()
        self._breakers: defaultdict[str, Breaker] = defaultdict(Breaker)
        self._workers: defaultdict[str, Workers] = defaultdict(Workers)

    @classmethod
    def at(cls, path: str) -> Module:
        """Return the object of the library at `path` in this process. Make it at the first call."""
        # Look it up without the lock: this runs at every call, and another thread could hold the lock while the process forks.
        found = cls._all.get(path)
        if found is not None:
            return found
        with cls._all_lock:
            if path not in cls._all:
                cls._all[path] = cls(path)
            return cls._all[path]

    def call(self, config: TokenConfig, function: Callable[[TokenSession], T], timeout: float | None = None) -> T:
        """Run `function` with a session of this token on a worker thread and return its result.

        If the token fails, the library is restarted and `function` runs once more; if a key is not where it was found, `function` runs
        once more before that. So it must bear to run three times. Raise an HSMError. `timeout` (seconds) is used in place of the token's.
        """
        return self._guarded(config, lambda: function(self._session(config)), timeout)

    def here(self, config: TokenConfig, function: Callable[[TokenSession], T]) -> T:
        """Do as `call` does, in this thread and without a time-out: for a process of which somebody else waits for the answer."""
        return self._attempts(config, lambda: function(self._session(config)))

    def as_officer(self, config: TokenConfig, pin: str, act: Callable[[Any], T]) -> T:
        """Run `act` with a session of the security officer (python-pkcs11's), and return its result. Raise as `call` does.

        An officer is not logged in beside the user: all sessions of this process end before and after, and logins wait meanwhile.
        """

        def officer() -> T:
            token = self._find_token(config)
            self._refuse_maker(config, token)
            with self._login_lock:
                if config.token_label in self._logins:
                    raise _UserCameFirst
                with _alone(config):
                    session = token.open(rw=True, so_pin=pin)
                with session:
                    return act(session)

        try:
            for _ in range(OFFICER_TRIES):
                self.close()
                with suppress(_UserCameFirst):
                    return self._guarded(config, officer)
            raise HSMUnavailable(f"token {config.token_label}: users log in all the time, so its officer cannot")
        finally:
            self.close()

    def hanging(self, config: TokenConfig) -> int:
        """Return how many calls to this token were given up and have not come back."""
        return self._workers[config.token_label].lost

    def has_token(self, config: TokenConfig) -> bool:
        """Return whether the library lists this token. Needs no login, so it works before the token exists. Raise as `call` does."""
        return self._guarded(config, lambda: any(token.label == config.token_label for token in self._library.get_tokens()))

    def token_info(self, config: TokenConfig) -> TokenInfo:
        """Return what the token says of itself. Needs no login, and does not refuse any maker. Raise as `call` does."""
        return self._guarded(config, lambda: self._info(self._find_token(config)))

    def _info(self, token: Any) -> TokenInfo:
        version = ".".join(map(str, self._library.library_version))
        return TokenInfo(
            label=str(token.label).strip(),
            serial=bytes(token.serial).decode("ascii", "replace").strip(),
            maker=str(token.manufacturer_id).strip(),
            model=str(token.model).strip(),
            library=f"{str(self._library.manufacturer_id).strip()} {version}",
        )

    def _guarded(self, config: TokenConfig, act: Callable[[], T], timeout: float | None = None) -> T:
        # Both are checked before a worker is used: while the PIN is refused or the HSM is away, the caller gets its answer at once.
        self._refuse_latched(config)
        breaker = self._breakers[config.token_label]
        breaker.check()
        try:
            workers = self._workers[config.token_label]
            result = workers.run(lambda: self._attempts(config, act), config.call_timeout if timeout is None else timeout)
        except HSMUnavailable as gone:
            self.last_error = str(gone)
            breaker.failed()
            raise
        breaker.succeeded()
        return result

    def _attempts(self, config: TokenConfig, act: Callable[[], T]) -> T:
        seen = self.generation
        try:
            with suppress(*STALE):
                return self._attempt(config, act)
            self._forget_session(config)
            return self._attempt(config, act)
        except p11.PKCS11Error as error:
            self._refuse_for_good(config, error)
            self._restart(config, seen)
        try:
            return self._attempt(config, act)
        except p11.PKCS11Error as error:
            self._refuse_for_good(config, error)
            # Only after a restart is an empty search a proof: a token that went away looks empty as well.
            if isinstance(error, p11.NoSuchKey):
                raise HSMKeyMissing(f"token {config.token_label}: a key is missing") from None
            raise HSMUnavailable(f"token {config.token_label}: {type(error).__name__}") from None

    def _attempt(self, config: TokenConfig, act: Callable[[], T]) -> T:
        self._start(config)
        with self._gate.entered(config.call_timeout):
            return act()

    def _refuse_latched(self, config: TokenConfig) -> None:
        if config.token_label in self._refused:
            raise HSMCredential(self._refused[config.token_label])

    def _refuse_for_good(self, config: TokenConfig, error: p11.PKCS11Error) -> None:
        """Raise for errors that a restart cannot cure; return for all others."""
        name = type(error).__name__
        self.last_error = name
        if isinstance(error, CREDENTIAL):
            self._refused[config.token_label] = f"token {config.token_label}: {name}; not tried again before a restart"
            self._refuse_latched(config)
        if isinstance(error, p11.MultipleTokensReturned):
            raise HSMKeyAmbiguous(f"several tokens are called {config.token_label}: name its serial number") from None
        if isinstance(error, MISUSE) or str(error).endswith(ACTION_PROHIBITED):
            raise HSMMisuse(f"token {config.token_label}: {name}") from None

    # --- sessions -----------------------------------------------------------------------------------------------

    def _session(self, config: TokenConfig) -> TokenSession:
        """Return this thread's session on the token, with its cache of key handles.

        PKCS#11 sessions are not safe for threads, so each thread has its own. A session without a PIN shares the login of the process.
        A restart raises `generation`, which makes the sessions and handles of earlier generations void.
        """
        if getattr(self._local, "generation", None) != self.generation:
            self._local.generation, self._local.sessions = self.generation, {}
        sessions: dict[str, TokenSession] = self._local.sessions
        if config.token_label not in sessions:
            token = self._login(config)
            # Read/write, because the ceremony makes keys through the same sessions.
            sessions[config.token_label] = TokenSession(token.open(rw=True))
        return sessions[config.token_label]

    def _forget_session(self, config: TokenConfig) -> None:
        """Have this thread open another session on the token, which searches each key and compares it with its record anew."""
        if sessions := getattr(self._local, "sessions", None):
            sessions.pop(config.token_label, None)

    def _login(self, config: TokenConfig) -> Any:
        """Return the token, after one login per process. A refused PIN is recorded before the next thread may try."""
        with self._login_lock:
            self._refuse_latched(config)
            if config.token_label not in self._logins:
                try:
                    with _alone(config):
                        token = self._find_token(config)
                        self._refuse_maker(config, token)
                        self._logins[config.token_label] = (token, self._open_with_pin(token, config))
                except CREDENTIAL as error:
                    self._refuse_for_good(config, error)
            return self._logins[config.token_label][0]

    def _find_token(self, config: TokenConfig) -> Any:
        wanted = {"token_label": config.token_label}
        if config.token_serial:
            wanted["token_serial"] = config.token_serial.encode()  # type: ignore[assignment]  # python-pkcs11 compares bytes
        return self._library.get_token(**wanted)

    def _refuse_maker(self, config: TokenConfig, token: Any) -> None:
        """Raise HSMRefused for a token of a maker that is not taken, before the PIN is given to it."""
        info = self._info(token)
        said = f"{info.maker} {info.model} {info.library}"
        if any(maker in said.lower() for maker in config.refused_makers):
            raise HSMRefused(f"token {config.token_label} is no HSM but {info.model} of {info.maker}: this installation does not take it")

    @staticmethod
    def _open_with_pin(token: Any, config: TokenConfig) -> Any:
        """Open the session that logs in. It is kept open for ever: closing it logs out every other session of the process."""
        try:
            return token.open(rw=True, user_pin=config.pin())
        except p11.UserAlreadyLoggedIn:  # a session without a PIN shares the login that the process already has
            return token.open(rw=True)

    # --- life of the library ------------------------------------------------------------------------------------

    def _start(self, config: TokenConfig) -> None:
        if self._started:
            return
        with self._start_lock, _alone(config):
            if not self._started:
                with softhsm.configured(config.configuration):
                    self._load()
                    cryptoki.initialise(self.path, locking=self._locking)
                self.generation += 1
                self._started = True

    def _load(self) -> None:
        try:
            self._library = pkcs11.lib(self.path)
        except (p11.PKCS11Error, OSError) as error:
            raise HSMUnavailable(f"{self.path} cannot be used: {type(error).__name__}", 30.0) from None

    def _restart(self, config: TokenConfig, seen: int) -> None:
        """Restart the library, unless another thread did so since generation `seen`. Restart at most once in RESTART_EVERY seconds.

        Raise HSMUnavailable if the last restart is too recent or the running calls do not end within DRAIN seconds.
        """
        with self._start_lock:
            if self.generation != seen:
                return
            if time.monotonic() - self._last_restart < RESTART_EVERY:
                raise HSMUnavailable(f"the HSM was restarted a moment ago: {self.last_error}", RESTART_EVERY)
            if not self._gate.shut(DRAIN):
                raise HSMUnavailable("HSM calls do not come to an end; no restart is possible")
            try:
                # Set before the attempt, so that a failed restart counts as well and callers do not restart in a loop.
                self._last_restart = time.monotonic()
                self._logins.clear()
                self.restarts += 1
                with _alone(config), softhsm.configured(config.configuration):
                    cryptoki.initialise(self.path, locking=self._locking)
                self.generation += 1
                self._started = True
            finally:
                self._gate.open()

    def close(self) -> None:
        """Finalise the library and forget a refused PIN, at the end of a process or of a test. Does nothing while a call hangs."""
        with self._start_lock:
            if self._gate.shut(DRAIN):
                if self._started:
                    cryptoki.finalise(self.path)
                for workers in self._workers.values():
                    workers.stop()
                self._forget()
                self._gate.open()

    # --- fork ---------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Wait until no thread is inside the library, then let the process be copied. A call that hangs delays a fork by 2 × DRAIN.

        SoftHSM's mutexes are copied with the process. One that is held at the fork would never be released in the child.
        """
        locked = self._start_lock.acquire(timeout=DRAIN)
        self._forks[threading.get_ident()] = locked, self._gate.shut(DRAIN)

    def after_fork_in_parent(self) -> None:
        """Open the gate and release the lock that `before_fork` took."""
        locked, drained = self._forks.pop(threading.get_ident())
        if drained:
            self._gate.open()
        if locked:
            self._start_lock.release()

    def after_fork_in_child(self) -> None:
        """Forget everything of the parent's. PKCS#11 forbids its use in a child: the first call loads and initialises the library again."""
        self._unlock()
        self._forget()


@contextmanager
def _alone(config: TokenConfig) -> Iterator[None]:
    """Hold the lock of starts and logins among processes. Whoever held it before may have been killed: SoftHSM's files are put right."""
    with cryptoki.file_lock(config.lock_file):
        if "softhsm" in config.module_path:
            softhsm.put_back(config.configuration)
        yield


def _each(name: str) -> Callable[[], None]:
    def run() -> None:
        for module in list(Module._all.values()):
            getattr(module, name)()

    return run


os.register_at_fork(before=_each("before_fork"), after_in_parent=_each("after_fork_in_parent"), after_in_child=_each("after_fork_in_child"))
