"""The trust anchors of verifiers: the keyset signed by the root, its pin, and the X.509 certificates.

They are files under `home/trust`, copies of what the database holds (`published.py`). A process reads them again when the keyset has
changed. The formats are in docs/manifest.md, Trust.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.settings import Settings
from hsm import HSM
from hsm.keys import Exact, role_of
from manifests import jws
from manifests.keyset import Jwk, Key, Keyset, KeysetOlder, KeysetRefused, Use, root_sha256, sign_keyset, verify_keyset
from sifilma.activation.trust import key_checks, published
from sifilma.kernel.clock import Clock
from sifilma.kernel.errors import KeyOutsidePeriod, Unavailable
from sifilma.kernel.text import say

log = structlog.get_logger()
FILE = published.KEYSET
WITNESS = "keyset-witness.json"
KEY_YEARS = 10
BEFORE = timedelta(minutes=5)  # keys and certificates count from this long before the ceremony: clocks of its node and of the issuer differ
AFTER = timedelta(minutes=5)
"""Signing stops this long before a key's end: what a node with a clock that is ahead signed must not be dated after it."""
SOON = timedelta(days=90)
"""This long before signing with a key ends, operators are told: readers need the new keyset before, and get it by hand."""
ROOT_YEARS = 20
USES: tuple[tuple[str, Use], ...] = (
    ("manifest-sign", "manifest"),
    ("status-sign", "status"),
    ("audit-sign", "audit"),
    ("document-sign", "document"),
)


@dataclass(frozen=True)
class Trust:
    """The published keyset. `file` is served unchanged. `pin` is the SHA-256 (hex) of the root's SPKI (docs/manifest.md, Trust)."""

    file: bytes
    keyset: Keyset
    pin: str
    _kids: dict[tuple[str, str], tuple[ec.EllipticCurvePublicKey, str]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def epoch(self) -> int:
        """Return the epoch that every manifest carries."""
        return self.keyset.epoch

    def keys(self, use: Use) -> list[ec.EllipticCurvePublicKey]:
        """Return the public keys for a use, including former ones, without revoked ones."""
        return [key.jwk.key() for key in self.keyset.keys if key.use == use and key.revoked_at is None]

    def all_keys(self, use: Use) -> list[ec.EllipticCurvePublicKey]:
        """Return the public keys for a use, also revoked ones: for what they signed before that."""
        return [key.jwk.key() for key in self.keyset.keys if key.use == use]

    def ends(self) -> dict[Use, datetime]:
        """Return when signing for each use ends: AFTER before the end of its newest key. Older ones sign nothing any more."""
        last: dict[Use, int] = {}
        for key in self.keyset.keys:
            if key.revoked_at is None:
                last[key.use] = max(key.exp, last.get(key.use, 0))
        return {use: datetime.fromtimestamp(end, UTC) - AFTER for use, end in last.items()}

    def ending(self, now: datetime) -> dict[Use, datetime]:
        """Return those of `ends` that have come or come within SOON."""
        return {use: end for use, end in sorted(self.ends().items()) if end - now <= SOON}

    def kid(self, hsm: HSM, label: str, use: Use) -> str:
        """Return the key id of a signing key. Raise Unavailable if the keyset does not hold this key, or holds it as revoked."""
        public = hsm.public_key(label)
        known = self._kids.get((hsm.label, label))
        if known is not None and known[0] is public:  # the same object as before (the HSM pins it), and this keyset holds it
            return known[1]
        kid = jws.thumbprint(public)
        key = self.keyset.find(kid, use)
        if key is None or key.revoked_at is not None:
            told = say("The keyset does not vouch for the key %(label)s: publish a keyset first.", label=label)
            raise Unavailable(told, type="keyset-outdated")
        self._kids[hsm.label, label] = (public, kid)
        return kid

    def signing_kid(self, hsm: HSM, label: str, use: Use, now: datetime) -> str:
        """Return the key id of a key that may sign now. Raise KeyOutsidePeriod outside the period the keyset gives it, else as `kid` does.

        Readers refuse what was signed outside the period (docs/manifest.md, Trust): it must not be signed at all.
        """
        kid = self.kid(hsm, label, use)
        key = self.keyset.find(kid, use)
        assert key is not None  # noqa: S101  # `kid` found it
        if not key.nbf <= int(now.timestamp()) <= key.exp - AFTER.total_seconds():
            raise _outside_period(label, key)
        return kid


def _outside_period(label: str, key: Key) -> KeyOutsidePeriod:
    first, last = (datetime.fromtimestamp(moment, UTC).date().isoformat() for moment in (key.nbf, key.exp))
    told = say(
        "The key %(label)s signs from %(first)s to %(last)s only: the operator holds a ceremony.", label=label, first=first, last=last
    )
    return KeyOutsidePeriod(told, retry_after=3600)


@dataclass(frozen=True)
class Signer:
    """The key that signs: its label on the token, its id, and the epoch of its keyset."""

    label: Exact
    kid: str
    epoch: int


def signer(settings: Settings, token: HSM, role: str, now: datetime) -> Signer:
    """Return the key with which a token signs for a role now. Raise as `load` and `Trust.signing_kid` do."""
    label = token.current(role)  # before the keyset: a key that is in use is published
    published = load(settings)
    return Signer(label, published.signing_kid(token, label, dict(USES)[role], now), published.epoch)


@dataclass(frozen=True)
class Vouched:
    """A signer that refuses, as `Trust.signing_kid` does, unless the keyset vouches for its key at this moment."""

    hsm: HSM
    settings: Settings
    clock: Clock
    _exact: dict[str, Exact] = field(default_factory=dict)

    def _vouched(self, label: str) -> Exact:
        """Return the label of the key that is in use, the same one each time, if the keyset vouches for it."""
        exact = self._exact.setdefault(label, self.hsm.current(label))
        load(self.settings).signing_kid(self.hsm, exact, dict(USES)[label], self.clock.now())
        return exact

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """Return the key's public half."""
        return self.hsm.public_key(self._vouched(label))

    def sign(self, label: str, digest: bytes) -> bytes:
        """Return the signature of a 32-byte digest."""
        return self.hsm.sign(self._vouched(label), digest)


_lock = threading.Lock()
_loaded: dict[Path, tuple[float, Trust]] = {}
_seen: dict[Path, int] = {}
_heeded: dict[Path, Witnessed] = {}
_waiting: dict[Path, Witnessed] = {}


@dataclass(frozen=True)
class Witnessed:
    """The newest keyset that the witness has seen under this root: its version and its epoch, 0 where it has seen none."""

    version: int = 0
    epoch: int = 0


def witnessed(settings: Settings, pin: str) -> Witnessed:
    """Return what the witness has seen: a file in its folder. A folder that is away has seen nothing, which is logged.

    Raise Unavailable for a file that cannot be read, or that is of another root: it is no new memory.
    """
    folder = settings.witness_folder
    if folder is None:
        return Witnessed()
    try:
        told = json.loads((folder / WITNESS).read_text())
        if told["root"] == pin:
            return Witnessed(int(told["version"]), int(told["epoch"]))
        raise Unavailable("The witness has seen the keyset of another root.", type="keyset-missing")
    except FileNotFoundError:
        if not folder.is_dir():
            log.error("witness_away", reason="there is no such folder")
        return Witnessed()
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise Unavailable(say("The witness cannot be read: %(file)s.", file=WITNESS), type="keyset-missing") from broken


def _bear_witness(settings: Settings, found: Trust) -> None:
    """Have the witness keep the version and the epoch of a keyset, if they are higher than what it has seen."""
    before = witnessed(settings, found.pin)
    after = Witnessed(max(before.version, found.keyset.version), max(before.epoch, found.epoch))
    folder = settings.witness_folder
    if folder is None or after == before:
        return
    try:
        told = {"root": found.pin, "version": after.version, "epoch": after.epoch}
        published.replace_file(folder / WITNESS, (json.dumps(told) + "\n").encode())
    except OSError as away:
        log.error("witness_away", reason=type(away).__name__)


def remember(settings: Settings, version: int) -> None:
    """Take no keyset older than this version from now on, in this process and those forked from it."""
    path = settings.trust / FILE
    _seen[path] = max(version, _seen.get(path, 0))


def load(settings: Settings) -> Trust:
    """Return the keyset in use. Raise Unavailable if there is none, or the pinned root has not signed it, or a newer one was seen.

    An older one would bring back a key that was revoked since. The newest that was published here stands in the record of acts, which a
    process reads when it starts (`ceremonies.require_database`); from then on it remembers by itself.
    """
    try:
        return _load(settings)
    except Unavailable:
        if not published.refill(settings):
            raise
    return _load(settings)


def _load(settings: Settings) -> Trust:
    path = settings.trust / FILE
    try:
        changed = path.stat().st_mtime_ns
        with _lock:
            known = _loaded.get(path)
            if known is None or known[0] != changed:
                pin = (settings.trust / published.PIN).read_text().strip()
                data = path.read_bytes()
                found = _newest(settings, data, pin, _seen.get(path, 0))
                remember(settings, found.keyset.version)
                _bear_witness(settings, found)
                known = _loaded[path] = (changed, found)
        _require_witnessed(known[1], _heeded.get(path, Witnessed()))
    except KeysetRefused as refused:
        log.error("keyset_refused", reason=str(refused))
        raise Unavailable("There is no usable keyset: the key ceremony publishes one.", type="keyset-missing") from refused
    except (OSError, ValueError) as broken:
        raise Unavailable("There is no usable keyset: the key ceremony publishes one.", type="keyset-missing") from broken
    return known[1]


def heed_witness(settings: Settings) -> None:
    """Refuse the keyset in use from now on if the witness has seen a newer one, now and at the look before. Called twice a minute.

    A process that runs learns by this that home and database are not the newest ones. What was published on another node a moment ago may
    not have come here yet, hence the second look. A witness that is away or unusable changes nothing; it is logged.
    """
    path = settings.trust / FILE
    try:
        seen = witnessed(settings, (settings.trust / published.PIN).read_text().strip())
    except (Unavailable, OSError) as unusable:
        log.error("witness_away", reason=str(unusable) if isinstance(unusable, Unavailable) else type(unusable).__name__)
        return
    if seen == Witnessed():
        return
    before, held = _waiting.get(path), _heeded.get(path, seen)
    _waiting[path] = seen
    if seen == before or seen.version < held.version or seen.epoch < held.epoch:  # a witness that was put right counts at once
        _heeded[path] = seen
    with contextlib.suppress(Unavailable):  # it is in the log, and whoever signs is told
        load(settings)


def _require_witnessed(found: Trust, seen: Witnessed) -> None:
    """Raise KeysetOlder for a keyset that is older than what the witness has seen."""
    if found.keyset.version < seen.version:
        raise KeysetOlder(f"version {found.keyset.version} of the keyset is older than {seen.version}, which the witness has seen")
    if found.epoch < seen.epoch:
        raise KeysetOlder(f"epoch {found.epoch} of the keyset is older than {seen.epoch}, which the witness has seen")


def _newest(settings: Settings, data: bytes, pin: str, seen: int) -> Trust:
    """Return a keyset that is as new as what this process and the witness have seen. Raise KeysetRefused for any other."""
    floor = witnessed(settings, pin)
    found = Trust(data, verify_keyset(data, pin, seen), pin)
    _require_witnessed(found, floor)
    return found


def publish(
    settings: Settings, signing: HSM, root: HSM, now: datetime, by: Sequence[str] = (), held: str = "", *, joining: bool = False
) -> Trust:
    """Sign and publish a keyset of the token's keys, and the certificates. If it is published already, nothing changes.

    The keys are recorded with it (`key_checks.record`, which `by`, `held` and `joining` are for). Raise Unavailable if the root token holds
    another root than the published keyset, and HSMKeyChanged if a key is another one than was recorded.
    """
    before = _published(settings)
    if before is not None and before.keyset.root != Jwk.of(root.public_key("root")):
        raise Unavailable("The root token holds another root than the published keyset: a change of root is a ceremony of its own.")
    recorded = key_checks.record(settings, signing, root, now, by, held, joining=joining)
    keys = {
        (token.label, label): token.public_key(Exact(label))
        for token in _recorded(settings, signing)
        for label in sorted(recorded.of(token.label))
        if role_of(label)[0] in dict(USES)
    }
    kids = {jws.thumbprint(key) for key in keys.values()}
    if before is not None and kids <= {key.kid for key in before.keyset.keys}:
        return before
    keyset = _next(before, keys, root.public_key("root"), now)
    line = sign_keyset(keyset, (root.public_key("root"), lambda digest: root.sign("root", digest)))
    settings.trust.mkdir(parents=True, exist_ok=True)
    published.replace_file(settings.trust / published.PIN, (root_sha256(root.public_key("root")) + "\n").encode())
    publish_certificates(settings, signing, root, now)
    # The keyset comes last: `load` reads the pin again when this file changes.
    published.replace_file(settings.trust / FILE, line.encode())
    return load(settings)


def revoke(settings: Settings, root: HSM, kids: Collection[str], now: datetime) -> Trust:
    """Publish the next version of the keyset, in which keys are revoked: what they signed verifies nowhere any more.

    A key that is revoked already stays as it is; if all of them are, nothing is published.
    """
    before = load(settings)
    falling = {key.kid for key in before.keyset.keys if key.kid in kids and key.revoked_at is None}
    if not falling:
        return before
    keys = [key.model_copy(update={"revoked_at": int(now.timestamp())}) if key.kid in falling else key for key in before.keyset.keys]
    keyset = before.keyset.model_copy(update={"version": before.keyset.version + 1, "keys": keys})
    line = sign_keyset(keyset, (root.public_key("root"), lambda digest: root.sign("root", digest)))
    published.replace_file(settings.trust / FILE, line.encode())
    return load(settings)


def newest_of(settings: Settings, line: bytes) -> Trust:
    """Return the keyset in use, or this one if it is later. Raise Unavailable as `load` does, KeysetRefused if the root did not sign it."""
    mine = load(settings)
    if not line:
        return mine
    told = Trust(line, verify_keyset(line, mine.pin, 0), mine.pin)
    return told if told.keyset.version > mine.keyset.version else mine


def put_back(settings: Settings, line: bytes) -> None:
    """Put a keyset into the folder that lacks it. Raise KeysetRefused unless the pinned root signed it, OSError without a pin."""
    verify_keyset(line, (settings.trust / published.PIN).read_text().strip(), 0)
    published.replace_file(settings.trust / FILE, line)


def raise_epoch(settings: Settings, root: HSM, before: Trust, version: int, epoch: int) -> Trust:
    """Publish a keyset with the keys of another one, and with this version and epoch. Raise KeysetRefused unless both are higher."""
    if version <= before.keyset.version or epoch <= before.epoch:
        raise KeysetRefused("version and epoch of a keyset only grow")
    keyset = before.keyset.model_copy(update={"version": version, "epoch": epoch})
    line = sign_keyset(keyset, (root.public_key("root"), lambda digest: root.sign("root", digest)))
    published.replace_file(settings.trust / FILE, line.encode())
    return load(settings)


def publish_certificates(settings: Settings, signing: HSM, root: HSM, now: datetime) -> None:
    """Sign and publish the certificates of the root and of the keys in use."""
    for name, data in _certificates(_recorded(settings, signing), root, now, settings.mark).items():
        published.replace_file(settings.trust / name, data)


def _published(settings: Settings) -> Trust | None:
    return load(settings) if (settings.trust / FILE).exists() or published.refill(settings) else None


def _recorded(settings: Settings, signing: HSM) -> list[HSM]:
    """Return the tokens whose keys are recorded."""
    return [token for token in signing.tokens if key_checks.load(settings, token.label)]


def _next(
    before: Trust | None, keys: dict[tuple[str, str], ec.EllipticCurvePublicKey], root: ec.EllipticCurvePublicKey, now: datetime
) -> Keyset:
    """Return the next version of the keyset. Keys published before stay in it, since readers hold manifests signed with them."""
    start = int((now - BEFORE).timestamp())
    end = int((now + timedelta(days=365 * KEY_YEARS)).timestamp())
    old = list(before.keyset.keys) if before else []
    known = {key.kid for key in old}
    new = [
        Key(jwk=Jwk.of(key), use=dict(USES)[role_of(label[1])[0]], nbf=start, exp=end, revoked_at=None)
        for label, key in sorted(keys.items(), key=lambda one: [role for role, _ in USES].index(role_of(one[0][1])[0]))
        if jws.thumbprint(key) not in known
    ]
    version, epoch = (before.keyset.version + 1, before.keyset.epoch) if before else (1, 1)
    return Keyset(version=version, epoch=epoch, root=Jwk.of(root), keys=[*old, *new])


def _certificates(tokens: Sequence[HSM], root: HSM, now: datetime, mark: str) -> dict[str, bytes]:
    """Return the certificates of root and signing keys (PEM, by file name), for programs that only know X.509.

    `mark` is the word of an installation for practice: their names carry it, for a certificate is looked at apart from everything else.
    """
    own = f"SI-FILMA {mark}".rstrip()
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{own} Root"), x509.NameAttribute(NameOID.COUNTRY_NAME, "ID")])
    files = {"root.crt": _certificate(root, issuer, issuer, root.public_key("root"), now, ROOT_YEARS, authority=True)}
    for number, token in enumerate(tokens, start=1):  # two HSMs sign with a key each
        part = "" if number == 1 else f"-{number}"
        for label, use in USES:
            name = f"{own} {use}{part}"
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.COUNTRY_NAME, "ID")])
            files[f"{label}{part}.crt"] = _certificate(root, issuer, subject, token.public_key(label), now, KEY_YEARS, authority=False)
    return files


def _certificate(
    root: HSM, issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, years: int, *, authority: bool
) -> bytes:
    usage = x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key("root")), critical=False)
        .sign(root.private_key("root"), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
