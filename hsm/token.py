"""The HSM as the application sees it: named keys, one method per operation, and one hierarchy of errors (`hsm.errors`)."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from hsm import derivation
from hsm.adapter import HSMPrivateKey
from hsm.errors import HSMError, HSMKeyChanged, HSMKeyMissing, HSMMisuse
from hsm.keys import MASTER, SIGNING_PLAN, Exact, KeyInfo, KeyKind, KeyPlan, label_of
from hsm.module import Module, TokenConfig, TokenInfo
from hsm.records import KeyRecord, check_of, of_info
from hsm.remote import RemoteModule
from hsm.session import IV, TokenSession

T = TypeVar("T")
HEALTH_LABEL = "health-test"
HEALTH_FOR = 5.0  # seconds
WATCH_EVERY = 60.0  # seconds
_PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))


@dataclass(frozen=True)
class Health:
    """The result of the last test signature. `generation` and `restarts` count the library's starts; `last_error` is empty if `ok`.

    Of two HSMs, `ok` says that one of them works; `tokens` has the health of each by the label of its token, and is empty for one HSM.
    """

    ok: bool
    generation: int
    restarts: int
    last_error: str
    tokens: Mapping[str, Health] = field(default_factory=dict)

    @property
    def is_degraded(self) -> bool:
        """Return whether one of two HSMs does not work."""
        return not all(one.ok for one in self.tokens.values())


class Operations:
    """The operations on one session, for several of them in one call (`HSM.run`). Signatures are verified before they are returned."""

    def __init__(self, session: TokenSession, hsm: HSM) -> None:
        self.session = session
        self._hsm = hsm
        self._versions: Mapping[str, int] | None = None

    def version(self, role: str) -> int:
        """Return the version of a role's key that is in use. Within one call it stays the same, though a rotation may come in between."""
        if self._versions is None:
            self._versions = self._hsm.versions()
        return self._versions.get(role, 1)

    def exact(self, label: str) -> str:
        """Return the label on the token: that of the version in use for a role."""
        return label if isinstance(label, Exact) else label_of(label, self.version(label))

    def sign(self, label: str, digest: bytes) -> bytes:
        """Return the signature of a 32-byte digest, 64 bytes r ‖ s. Raise HSMKeyChanged if it does not verify with the pinned public key.

        The check runs in software and costs about 45 µs. It keeps a faulty or exchanged HSM from signing something nobody can verify.
        """
        label = self.exact(label)
        self._require(label)
        pinned = self._hsm.pinned.get(label)
        if pinned is None:
            pinned = self._hsm.pin_key(label, self.session.public_key(label))
        signature = self.session.sign(label, digest)
        verify_raw(pinned, signature, digest, label)
        return signature

    def hmac(self, label: str, message: bytes) -> bytes:
        """Return the HMAC-SHA-256 of `message`, 32 bytes."""
        label = self.exact(label)
        self._require(label)
        return self.session.hmac(label, message)

    def derive_open_key(self, version: int, uid: bytes) -> bytes:
        """Return the 32-byte open key of the card with this 8-byte UID: two C_Sign(CKM_AES_CMAC) with `sam-master-vN`.

        The master key never leaves the token (docs/manifest.md).
        """
        label = f"{MASTER}{version}"
        self._require(label)
        return b"".join(self.session.cmac(label, block) for block in derivation.blocks(uid))

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        """Encrypt by C_Encrypt(CKM_AES_GCM) and return IV (12 bytes) ‖ ciphertext ‖ tag (16 bytes)."""
        label = self.exact(label)
        self._require(label)
        return self.session.seal(label, plaintext, associated_data)

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes, iv: int = IV) -> bytes:
        """Return the plaintext of what begins with an IV of so many bytes. Raise HSMMisuse when sealed or associated data were changed."""
        label = self.exact(label)
        self._require(label)
        return self.session.open_sealed(label, sealed, associated_data, iv)

    def check_value(self, label: str) -> str:
        """Return the check value of a secret key, 16 hex digits (`TokenSession.check_value`)."""
        return self.session.check_value(label)

    def is_known(self, label: str) -> bool:
        """Return whether the key of this label is recorded, so that it was compared before its use."""
        return label in self._hsm.recorded()

    def describe(self, label: str) -> KeyRecord:
        """Return the record of one key as it is read back now. Raise HSMMisuse for a label that no key of this project has."""
        plan = self.session.find(label)
        if plan is None:
            raise HSMMisuse(f"{label} is no key of this project")
        return of_info(self.session.info(plan), self._check(plan))

    def describe_all(self) -> list[KeyRecord]:
        """Return the records of all keys of this project on the token, by label, as they are read back now."""
        return [self.describe(label) for label, _, _ in self.session.labels() if self.session.find(label) is not None]

    def compare(self, label: str) -> None:
        """Compare a key with its recorded check value. Raise HSMKeyChanged if it is another key, or one that a whole record lacks."""
        records = self._hsm.recorded()
        record = records.get(label)
        if record is None:
            if any(other.is_whole for other in records.values()):
                self.describe(label)  # raises where there is none
                raise HSMKeyChanged(f"{label} is not in the record of keys: record it first")
            return
        plan = KeyPlan(label, KeyKind[record.kind], b"")
        self.session.info(plan)  # raises where it is missing: the public half of a key that signs may be left alone
        if self._check(plan) != record.check:
            raise HSMKeyChanged(f"{label} on the token is another key than that of the ceremony")
        self.session.compared.add(label)

    def difference(self, record: KeyRecord) -> str:
        """Return in what a key on the token differs from its record, or an empty text. It is searched anew."""
        plan = KeyPlan(record.label, KeyKind[record.kind], b"")
        self.session.forget(plan.label)
        try:
            if told := ", ".join(record.differences(self.session.info(plan))):
                return told
            if self._check(plan) != record.check:
                return "another key than that of the ceremony"
            if plan.kind is KeyKind.EC_SIGN:  # the public object alone proves nothing
                digest = fresh_digest()
                verify_raw(self.session.public_key(plan.label), self.session.sign(plan.label, digest), digest, plan.label)
        except HSMKeyMissing:
            return "missing"
        except HSMError as refused:
            return str(refused)
        return ""

    def _check(self, plan: KeyPlan) -> str:
        if plan.kind is not KeyKind.EC_SIGN:
            return self.session.check_value(plan.label)
        return check_of(self.session.public_key(plan.label))

    def _require(self, label: str) -> None:
        """Compare at the first use in this session: there the key is searched by its label, and later uses take the same object.

        What a later look found wrong (`HSM.read_back`) is refused until another look finds it right.
        """
        wrong = self._hsm.wrong
        if label in wrong:
            raise HSMKeyChanged(f"{label} on the token differs from the record of keys: {wrong[label]}")
        if label not in self.session.compared:
            self.compare(label)


class HSM:
    """One token. The library starts at the first call. Threads and forked processes may use the same object.

    `versions` returns which version of a role's key is in use, where that is not the first (`keys.ROTATED`).
    `recorded` returns the records of keys by label, as made at the ceremony. A key that differs is not used. `wrong` says what differs, by
    label, as of the last look; `told` is called when that changes, in whatever thread looked. `timeout` may return another time-out for a
    call than the token's own, in seconds.
    `before_call` runs in the caller's thread before each call. The application uses it to check that no database transaction is open.
    Every method may raise any HSMError.
    """

    def __init__(self, config: TokenConfig, before_call: Callable[[], None] = lambda: None) -> None:
        self.config = config
        self._before_call = before_call
        self.pinned: dict[str, ec.EllipticCurvePublicKey] = {}
        self.recorded: Callable[[], Mapping[str, KeyRecord]] = dict
        self.versions: Callable[[], Mapping[str, int]] = dict
        self.told: Callable[[Mapping[str, str]], None] = lambda _wrong: None
        self.timeout: Callable[[], float | None] = lambda: None
        self._wrong: Mapping[str, str] = {}
        self._health: tuple[float, Health] | None = None
        self._watching = threading.Event()

    @property
    def module(self) -> Module:
        """Return the library that holds this token."""
        return RemoteModule.of(self.config) if self.config.apart else Module.at(self.config.module_path)

    def direct(self) -> HSM:
        """Return this token by the library in this process, though daily work reaches it by a process of its own: for ceremonies."""
        if not self.config.apart:
            return self
        token = HSM(replace(self.config, apart=False), self._before_call)
        token.recorded, token.versions = self.recorded, self.versions
        return token

    @property
    def label(self) -> str:
        """Return the label of the token."""
        return self.config.token_label

    @property
    def wrong(self) -> Mapping[str, str]:
        """Return what differs from the record of keys, by label, as of the last look."""
        return self._wrong

    @property
    def out(self) -> Mapping[str, str]:
        """Return why a token is not used now, by its label. One HSM has no other that could be used."""
        return {}

    @property
    def tokens(self) -> tuple[HSM, ...]:
        """Return the tokens of which this object takes one: itself, or those of two HSMs."""
        return (self,)

    def through(self, act: Callable[[HSM], T]) -> T:
        """Run `act` with one token, and return its result. What must come of one token is done by one `act`: a key id and a signature.

        It runs again with the other one of two HSMs if the first fails, so it must bear to run more than once.
        """
        return act(self)

    def run(self, function: Callable[[Operations], T]) -> T:
        """Run several operations in one call and return the result of `function`.

        They share one pass through the gate, one worker thread and one time-out. `function` may run up to three times (`Module.call`).
        """
        self._before_call()
        return self.module.call(self.config, lambda session: function(Operations(session, self)), self.timeout())

    def current(self, label: str) -> Exact:
        """Return the label of the key that is in use for a role now. What must fit together (a key id and a signature) takes it once."""
        return label if isinstance(label, Exact) else label_of(label, self.versions().get(label, 1))

    def sign(self, label: str, digest: bytes) -> bytes:
        """Return the signature of a 32-byte digest, 64 bytes r ‖ s, verified in software."""
        return self.run(lambda do: do.sign(label, digest))

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """Return the public half. It is pinned for the life of this object: a token that later shows another key is refused."""
        label = self.current(label)
        found = self.pinned.get(label)
        return found if found is not None else self.run(lambda do: self.pin_key(label, do.session.public_key(label)))

    def private_key(self, label: str) -> HSMPrivateKey:
        """Return an object that `cryptography` accepts as a private key, for certificates and certificate requests."""
        return HSMPrivateKey(self, label)

    def hmac(self, label: str, message: bytes) -> bytes:
        """Return the HMAC-SHA-256 of `message`, 32 bytes."""
        return self.run(lambda do: do.hmac(label, message))

    def derive_open_key(self, version: int, uid: bytes) -> bytes:
        """Return the 32-byte open key of the card with this 8-byte UID under the master key of `version`."""
        return self.run(lambda do: do.derive_open_key(version, uid))

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        """Encrypt by C_Encrypt(CKM_AES_GCM) and return IV (12 bytes) ‖ ciphertext ‖ tag (16 bytes)."""
        return self.run(lambda do: do.seal(label, plaintext, associated_data))

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes, iv: int = IV) -> bytes:
        """Return the plaintext of what begins with an IV of so many bytes. Raise HSMMisuse when sealed or associated data were changed."""
        return self.run(lambda do: do.open_sealed(label, sealed, associated_data, iv))

    def info(self) -> TokenInfo:
        """Return what the token says of itself: label, serial number, maker, model. Needs no login."""
        return self.module.token_info(self.config)

    def keys(self, plan: tuple[KeyPlan, ...] = SIGNING_PLAN) -> list[KeyInfo]:
        """Return the keys of `plan` as they are on the token. Raise HSMKeyMissing if one does not exist."""
        return self.run(lambda do: [do.session.info(key) for key in plan])

    def labels(self) -> list[tuple[str, bytes, str]]:
        """Return label, CKA_ID and class of every private and secret key on the token, sorted."""
        return self.run(lambda do: do.session.labels())

    def sign_of_life(self) -> None:
        """Sign a fresh digest with `health-test`. Any HSMError shows that the token is not there: searching alone may find what was."""
        self.run(lambda do: do.sign(HEALTH_LABEL, fresh_digest()))

    def check(self) -> Health:
        """Sign a fresh digest with `health-test`, verify it, and read back every recorded key.

        A good result is cached for HEALTH_FOR seconds.

        No lock is taken: two checks at the same time sign twice, and a fork between them leaves no lock held.
        """
        seen = self._health
        if seen is not None and seen[1].ok and time.monotonic() - seen[0] < HEALTH_FOR:
            return seen[1]
        problem = ""
        try:
            # First what differs, since that names the key which a refused signature would not.
            wrong = self.read_back()
            problem = "; ".join(f"{label}: {what}" for label, what in wrong.items())
            if not problem:
                self.sign_of_life()
        except HSMError as error:
            problem = str(error)
        health = Health(not problem, self.module.generation, self.module.restarts, problem)
        self._health = (time.monotonic(), health)
        return health

    def read_back(self) -> Mapping[str, str]:
        """Compare every recorded key with the token. Return what differs by label, which is refused until a later look finds it right.

        While the token is away nothing is learnt, and HSMUnavailable or HSMCredential is raised.
        """
        records = self.recorded()
        if not records:
            return {}
        try:
            found = self.run(lambda do: {label: told for label, record in records.items() if (told := do.difference(record))})
        except HSMKeyMissing:  # the token shows no key at all, after a new login too
            found = dict.fromkeys(records, "missing")
        before, self._wrong = self._wrong, found
        if before != found:
            self.told(found)
        return found

    def watch(self, every: float = WATCH_EVERY) -> None:
        """Read the keys back in the background: now, every so many seconds, and after each new start of the library.

        Each process that works calls it once, after it was forked. The thread ends with the process, or at `unwatch`.
        """
        self._watching = threading.Event()
        threading.Thread(target=self._watch, args=(self._watching, every), name="hsm-keys", daemon=True).start()

    def unwatch(self) -> None:
        """End what `watch` began."""
        self._watching.set()

    def _watch(self, ended: threading.Event, every: float) -> None:
        seen, looked = -1, 0.0
        while not ended.wait(min(1.0, every)):
            if self.module.generation != seen or time.monotonic() - looked >= every:
                looked = time.monotonic()
                # An outage is told by whoever needs the token; this thread goes on, and looks again in time or after the restart.
                with suppress(HSMError):
                    self.read_back()
                seen = self.module.generation

    def pin_key(self, label: str, key: ec.EllipticCurvePublicKey) -> ec.EllipticCurvePublicKey:
        """Remember the first public key seen under a label and return it. Raise HSMKeyChanged if a later key differs."""
        known = self.pinned.setdefault(label, key)
        if known.public_numbers() != key.public_numbers():
            raise HSMKeyChanged(f"the token now has another {label}")
        return known

    def close(self) -> None:
        """Finalise the library. This ends the sessions of all tokens that it holds."""
        self.module.close()


def fresh_digest() -> bytes:
    """Return a digest that nobody signed before, so that an old signature cannot pass for an answer."""
    return hashlib.sha256(os.urandom(32)).digest()


def verify_raw(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes, label: str) -> None:
    """Verify the raw signature r ‖ s (64 bytes) of a 32-byte digest in software. Raise HSMKeyChanged if it does not verify."""
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, digest, _PREHASHED)
    except InvalidSignature:
        raise HSMKeyChanged(f"a signature by {label} does not verify with the pinned public key") from None
