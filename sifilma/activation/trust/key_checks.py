"""The record of keys: what every key on the token was at the ceremony, signed by the root. A token with another key is noticed by it.

It is a file under `home/trust`, beside the keyset, and stored in the database as that is; its check values stand in the ceremony's entry in
the record of acts too. A check value tells equal keys from different ones and nothing about a key (`hsm/session.py`). An installation from
before has a file of check values of the secret keys alone: they are compared until a record is made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.orm import Session

from config.settings import Settings
from hsm import HSM, HSMPair, ceremony
from hsm.errors import HSMError, HSMKeyChanged
from hsm.keys import ROOT_PLAN, KeyInfo, KeyPlan, role_of, secret_kind
from hsm.records import KeyRecord, of_check
from manifests import jws
from manifests.keyset import root_sha256
from sifilma.activation.trust import published

FILE = published.RECORD
CHECKS = published.CHECKS
"""What an installation has whose ceremony was held before keys were recorded."""
log = structlog.get_logger()


@dataclass(frozen=True)
class Record:
    """The record of keys. `version` is 0 for one that only knows check values. `versions` says which version of a role's key is in use,
    where that is not the first. `ceremony` is the SHA-256 of the ceremony's file. `closed` are keys that were destroyed because nothing
    needed them any more, as they were recorded. `revoking` is the label of a key whose successor came into use because it is revoked.

    `by` are the user names of the custodians; both are empty where no ceremony with custodians was held. `keys` are those of the first
    HSM's token. Where there are two HSMs, or were, `token` is its label, and `others` has the keys of the others by the labels of their
    tokens.
    """

    version: int = 0
    by: Sequence[str] = ()
    ceremony: str = ""
    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    token: str = ""
    others: Mapping[str, Mapping[str, KeyRecord]] = field(default_factory=dict)
    closed: Mapping[str, Sequence[KeyRecord]] = field(default_factory=dict)
    revoking: str = ""

    def plan(self, keys: Sequence[KeyPlan]) -> list[KeyPlan]:
        """Return these keys without the closed ones, which are made no more."""
        return [key for key in keys if key.label not in self.closed]

    def all_of(self, label: str) -> list[KeyRecord]:
        """Return what is recorded of the keys of one label, on each token, those that are closed too."""
        return [*self.closed.get(label, ()), *(keys[label] for keys in (self.keys, *self.others.values()) if label in keys)]

    def of(self, token: str) -> Mapping[str, KeyRecord]:
        """Return the records of the keys on one token. A record that names no token is of the only one there was."""
        own = self.keys if token == self.token or not self.token else {}
        return self.others.get(token, own)

    def has(self, token: str) -> bool:
        """Return whether keys of a token are recorded by its label, as they are where there are two HSMs, or were."""
        return bool(self.token) and bool(self.of(token))

    def holders(self, label: str) -> list[str]:
        """Return the labels of the tokens on which a key of this label is recorded, where there are two HSMs, or were."""
        return [token for token in (self.token, *self.others) if token and label in self.of(token)]

    def known(self, role: str) -> list[int]:
        """Return the versions of a role's key that are recorded, the first one first."""
        return sorted(version for found, version in map(role_of, self.keys) if found == role)


_loaded: dict[str, tuple[int, Record]] = {}


def load(settings: Settings, token: str = "") -> Mapping[str, KeyRecord]:
    """Return the records of keys by label, empty before the first ceremony; of the first HSM's token, or of the one that is named.

    Raise HSMKeyChanged if the file cannot be used.
    """
    found = load_record(settings)
    if not found.token and token and token == settings.second_hsm_token:
        return {}  # the second HSM has not joined
    return found.of(token) if token else found.keys


def load_record(settings: Settings) -> Record:
    """Return the record of keys. Raise HSMKeyChanged if the file cannot be used or the pinned root has not signed it.

    A process reads the file again when it has changed.
    """
    path, checks = _paths(settings.home)
    name = FILE
    try:
        changed = _changed(path)
        if not changed and published.refill(settings):
            changed = _changed(path)
        if not changed:
            path, name = checks, CHECKS
            changed = _changed(path)
        known = _loaded.get(path)
        if known is None or known[0] != changed:
            data = Path(path).read_bytes() if changed else b""
            made = Record() if not changed else _verified(settings, data) if name == FILE else _of_checks(data)
            known = _loaded[path] = (changed, made)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as broken:
        raise HSMKeyChanged(f"{name} cannot be used, so no key can be compared") from broken
    return known[1]


def versions(settings: Settings) -> Mapping[str, int]:
    """Return which version of a role's key is in use, where that is not the first. Raise as `load` does."""
    return load_record(settings).versions


@cache
def _paths(home: Path) -> tuple[str, str]:
    """Return the paths of the record and of the check values of before. They are asked for at every act, so they are made once."""
    return str(home / "trust" / FILE), str(home / "trust" / CHECKS)


def _changed(path: str) -> int:
    """Return when a file was changed last, in nanoseconds, or 0 if there is none."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116  # a Path costs as much again
    except FileNotFoundError:
        return 0


def _verified(settings: Settings, line: bytes) -> Record:
    """Return the record in a line that the pinned root signed. Raise ValueError for any other."""
    told = published.told_by_root(line, (settings.trust / published.PIN).read_text().strip())
    others = {one["token"]: _by_label(one["keys"]) for one in told.get("others", [])}
    keys, closed = _by_label(told["keys"]), dict[str, list[KeyRecord]]()
    for one in told.get("closed", []):
        closed.setdefault(one["label"], []).append(KeyRecord(**one))
    token, revoking = told.get("token", ""), told.get("revoking", "")
    return Record(told["version"], told["by"], told["ceremony"], keys, told["versions"], token, others, closed, revoking)


def entered(session: Session, settings: Settings) -> Record | None:
    """Return the record of keys that the database holds: what acts published that came to their end. None without a usable one."""
    line = published.stored(session, FILE)
    try:
        return None if line is None else _verified(settings, line)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _by_label(told: Sequence[Mapping[str, Any]]) -> dict[str, KeyRecord]:
    return {one["label"]: KeyRecord(**one) for one in told}


def _of_checks(data: bytes) -> Record:
    values = json.loads(data)
    kinds = {str(label): secret_kind(str(label)) for label in values}
    return Record(keys={label: of_check(label, kind, str(values[label])) for label, kind in kinds.items() if kind is not None})


def record(
    settings: Settings, signing: HSM, root: HSM, now: datetime, by: Sequence[str] = (), held: str = "", *, joining: bool = False
) -> Record:
    """Record the keys on the token that are not recorded yet, signed by the root. Return the record, which may be the last one.

    Of two HSMs, the second one's keys are recorded once it joins (`joining`), and from then on. What is recorded of an HSM that is not
    there any more stays. Raise HSMKeyChanged if a key differs from what is recorded, or is missing, or the record does not know the first
    token. With custodians (`by`, and in `held` the SHA-256 of the ceremony's file) a new record is made in any
    case.
    """
    before = load_record(settings)
    first, *further = signing.tokens
    tokens = [first, *(one for one in further if joining or before.has(one.label))]
    if before.token and not before.has(first.label):
        raise HSMKeyChanged(f"another token: no key of {first.label} is recorded")
    found = {token.label: {one.label: one for one in ceremony.describe(token) if one.label not in before.closed} for token in tokens}
    known = {token.label: before.of(token.label) if before.token else before.keys if token is first else {} for token in tokens}
    for token, keys in known.items():
        wrong = sorted(label for label, one in keys.items() if label not in found[token] or _differs(one, found[token][label]))
        if wrong:
            raise HSMKeyChanged(f"another token: {', '.join(wrong)} on it is another key than that of the ceremony")
    if before.version and all(keys.keys() <= known[token].keys() for token, keys in found.items()) and not by:
        return before
    own = found.pop(first.label)
    gone = {label: before.of(label) for label in (before.token, *before.others) if label and label != first.label}
    others = gone | found
    label = first.label if others else ""
    made = Record(before.version + 1, list(by), held, own, before.versions, label, others, before.closed, before.revoking)
    return write(settings, root, now, made)


def _differs(before: KeyRecord, found: KeyRecord) -> bool:
    return before != found if before.is_whole else before.check != found.check


def write(settings: Settings, root: HSM, now: datetime, record: Record) -> Record:
    """Sign a record by the root, and put it in the place of the last one. Raise HSMKeyChanged for another root than the pinned one."""
    root_key, pin = root.public_key("root"), settings.trust / "root.sha256"
    if pin.exists() and pin.read_text().strip() != root_sha256(root_key):
        raise HSMKeyChanged("the root token holds another root than the pinned one")
    told: dict[str, Any] = {
        "version": record.version,
        "made_at": int(now.timestamp()),
        "kind": settings.env,
        "by": list(record.by),
        "ceremony": record.ceremony,
        "versions": dict(record.versions),
        "root": jws.jwk(root_key),
        "root_key": [one.as_json() for one in ceremony.describe(root) if one.label == ROOT_PLAN[0].label],
        "keys": [record.keys[label].as_json() for label in sorted(record.keys)],
        "closed": [one.as_json() for label in sorted(record.closed) for one in record.closed[label]],
    }
    if record.revoking:
        told["revoking"] = record.revoking
    if record.others:
        told["token"] = record.token
        told["others"] = [
            {"token": token, "keys": [keys[label].as_json() for label in sorted(keys)]} for token, keys in sorted(record.others.items())
        ]
    payload = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    line = jws.sign(payload, jws.thumbprint(root_key), published.RECORD_TYPE, lambda digest: root.sign("root", digest))
    settings.trust.mkdir(parents=True, exist_ok=True)
    if not pin.exists():  # a first record stands before the first keyset
        published.replace_file(pin, (root_sha256(root_key) + "\n").encode())
    published.replace_file(settings.trust / FILE, line.encode())
    return load_record(settings)


def tokens(signing: HSM) -> Iterator[tuple[bool, str]]:
    """Yield of each token whether it answers, and what it is or why it does not. Raise an HSMError if the only one does not."""
    for token in signing.tokens:
        try:
            info = token.info()
        except HSMError as fault:
            if len(signing.tokens) == 1:
                raise
            yield False, f"Token {token.label}: {fault}."
        else:
            yield True, f"Token {info.label}, serial {info.serial}: {info.model} of {info.maker}, library {info.library}."


def doubts(settings: Settings, found: Sequence[KeyInfo], out: Mapping[str, str]) -> Iterator[str]:
    """Yield what is doubtful about the record of keys, about keys that were read back, and about HSMs that are `out`, a sentence each."""
    for label, reason in out.items():
        yield f"Token {label} is not used, the other HSM works: {reason}."
    made = load_record(settings)
    if not made.keys:
        yield "No check value of a secret key is recorded, so a wrong key would not be noticed: `sifilma hsm ceremony` records them."
    elif not made.version:
        yield "Only check values of secret keys are recorded, so a changed attribute would not be noticed: `sifilma hsm ceremony`."
    if any(info.is_open for info in found):
        yield "Whoever has the PIN may change the attributes of keys that `sifilma hsm keys` names: rotate them in time."


def tell(token: str, wrong: Mapping[str, str]) -> None:
    """Write into the log what differs now on a token, key by key, or that nothing does any more."""
    for label, what in wrong.items():
        log.error("key_differs", hsm=token, key=label, what=what)
    if not wrong:
        log.info("keys_as_recorded", hsm=token)


def attach(settings: Settings, signing: HSM) -> None:
    """Have each token compared with its record, and use the versions of keys that the record names."""
    for token in signing.tokens:
        token.recorded, token.told = partial(load, settings, token.label), partial(tell, token.label)
        token.versions = partial(versions, settings)
    signing.versions = partial(versions, settings)
    if isinstance(signing, HSMPair):
        signing.away, signing.back = tell_away, tell_back


def tell_away(token: str, reason: str) -> None:
    """Write into the log that the other HSM works from now on."""
    log.error("hsm_out", hsm=token, reason=reason)


def tell_back(token: str) -> None:
    """Write into the log that an HSM is used again."""
    log.info("hsm_back", hsm=token)
