"""What each kind of installation refuses, and what it warns of: one sentence each, which names the variable and what to set.

Production refuses what is not real, a training installation what is real, the demonstration whatever points to a real installation. No
setting switches a refusal off.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from config import breached_passwords, holidays
from config.settings import Settings
from config.strength import weakness

# Public values: anybody can read them here.
DEMO = {
    "secret_key": "demo-only-not-a-secret-demo-only-not-a-secret",
    "hsm_pin": "123456",
    "hsm_so_pin": "87654321",
    "second_hsm_pin": "123456",
    "second_hsm_so_pin": "87654321",
    "root_pin": "123456",
}
STRENGTH = {
    "secret_key": (32, 8),
    "secret_key_previous": (32, 8),
    "hsm_pin": (8, 4),
    "hsm_so_pin": (8, 4),
    "second_hsm_pin": (8, 4),
    "second_hsm_so_pin": (8, 4),
    "root_pin": (8, 4),
    "metrics_token": (16, 6),
}
"""Characters that a secret of the operator's own has at least, and how many of them differ."""
FOR_A_WHILE = frozenset({"secret_key_previous"})
"""Secrets that are set while something is exchanged, and not otherwise."""
NEEDED = ("secret_key", "hsm_pin")
AT_THE_CEREMONY = ("hsm_so_pin", "second_hsm_so_pin", "root_pin")
EXAMPLES = frozenset({"example", "contoh", "invalid", "test", "localhost", "localdomain"})
"""Labels of host names that lead nowhere (RFC 2606, RFC 6761), and the Indonesian word for an example."""
PRACTICE = ("latihan", "training")
"""Either word stands in the issuer's host and in the tokens' labels of a training installation, and in none of a real one."""
SOFTHSM = "softhsm"
WITNESS_KEY = re.compile(r"[^\s+]{1,120}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}")
PLACEHOLDER = re.compile(r"sementara|contoh|placeholder|to ?do\b|\btbd\b|x{3,}|\.{3}|…|_{3}|\?{2}|<[^>]*>|\[[^]]*\]", re.IGNORECASE)
"""What people write where a text is still missing."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a setting. `text` is one sentence. Refused: the installation does not start with it."""

    setting: str
    text: str
    refused: bool = True


Findings = Iterator[Finding]


def findings(settings: Settings) -> list[Finding]:
    """Return everything that is wrong with the settings, in the order in which an operator would set them."""
    found = [*_everywhere(settings), *(finding for rule in RULES[settings.env] for finding in rule(settings))]
    return sorted(found, key=lambda finding: list(Settings.model_fields).index(finding.setting))


def variable(setting: str) -> str:
    """Return the name of a setting's environment variable."""
    return f"SIFILMA_{setting.upper()}"


def _wrong(setting: str, words: str) -> Finding:
    return Finding(setting, f"{variable(setting)} {words}")


def _doubtful(setting: str, words: str) -> Finding:
    return Finding(setting, f"{variable(setting)} {words}", refused=False)


# --- everywhere ------------------------------------------------------------------------------------------------------


def _everywhere(settings: Settings) -> Findings:
    if settings.still_seconds <= settings.request_deadline:
        yield _wrong("still_seconds", "is not more than SIFILMA_REQUEST_DEADLINE: a server at work would be taken for a frozen one.")
    if settings.log_level.upper() not in logging.getLevelNamesMapping():
        yield _wrong("log_level", "names no level: set DEBUG, INFO, WARNING or ERROR.")
    if settings.breached_passwords and (why := breached_passwords.fault(settings.breached_passwords)):
        yield _wrong("breached_passwords", f"names a file that {why}.")
    yield from _witness_key(settings)
    if settings.holidays_file and (why := holidays.fault(settings.holidays_file)):
        yield _wrong("holidays_file", f"names a file that {why}.")


# --- secrets ---------------------------------------------------------------------------------------------------------


def _secrets(settings: Settings) -> Findings:
    """Secrets that are missing, public or weak, and secrets that are one and the same."""
    seen: dict[str, str] = {}
    for name, (least, different) in STRENGTH.items():
        value = settings.optional_secret(name)
        if not value:
            if name in NEEDED:
                yield _wrong(name, f"is not set: give at least {least} random characters, best as a file in SIFILMA_SECRETS_DIR.")
            continue
        if value in DEMO.values():
            yield _wrong(name, "is the public value of the demonstration: set a random one of your own.")
        elif weak := weakness(value, least=least, different=different):
            yield _wrong(name, f"{weak}; set a random one.")
        elif value in seen:
            yield _wrong(name, f"is the same as {variable(seen[value])}: set a random one of its own.")
        seen.setdefault(value, name)


def _secrets_to_doubt(settings: Settings) -> Findings:
    if not settings.optional_secret("metrics_token"):
        yield _doubtful("metrics_token", "is not set: /metrics stays closed, and nobody watches the service.")
    if settings.optional_secret("secret_key_previous"):
        yield _doubtful("secret_key_previous", "is needed until `sifilma users reseal` has found nothing more to do: take it away then.")
    for name in AT_THE_CEREMONY:
        if settings.optional_secret(name):
            yield _doubtful(name, "is needed at the ceremony only: take it away until the next one.")


# --- addresses -------------------------------------------------------------------------------------------------------


def _split(address: str) -> SplitResult | None:
    """Return the parts of an address with a host, or None."""
    try:
        parts = urlsplit(address)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if has_host and address.isascii() and not set(address) & set(' \t\r\n"<>\\') else None


def _host(address: str) -> str:
    parts = _split(address)
    return (parts.hostname or "").rstrip(".") if parts else ""


def is_loopback(address: str) -> bool:
    """Return whether an address leads to this machine only."""
    host = _host(address)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _leads_nowhere(host: str) -> str:
    """Return why nobody reaches a host from outside, as the end of a sentence, or an empty text."""
    try:
        ip = ip_address(host)
    except ValueError:
        labels = host.split(".")
        if set(labels) & EXAMPLES:
            return "is the host of an example"
        return "" if len(labels) > 1 and not labels[-1].isdigit() else "is no full host name"
    return "is an address of this machine alone" if ip.is_loopback or ip.is_unspecified or ip.is_link_local else ""


def _https(setting: str, address: str, meaning: str) -> Findings:
    """An address of production: https, a host that exists outside, and nothing behind it that is taken for something else."""
    parts = _split(address)
    if parts is None or parts.scheme != "https":
        yield _wrong(setting, f"is no https address: set {meaning}.")
    elif nowhere := _leads_nowhere(_host(address)):
        yield _wrong(setting, f"names {parts.hostname}, which {nowhere}: set {meaning}.")
    elif parts.query or parts.fragment or parts.username is not None or "?" in address or "#" in address:
        yield _wrong(setting, f"has a user, a query or a fragment: set {meaning}.")


def _addresses(settings: Settings) -> Findings:
    yield from _https("issuer", settings.issuer, "this installation's own https URI; it is `iss` of every manifest")
    yield from _https("public_url", settings.public_url, "the https address that people use; manifests carry it")
    if _host(settings.public_url) and urlsplit(settings.public_url).path not in ("", "/"):
        yield _wrong("public_url", "has a path: set scheme and host alone, the service stands at the root.")
    if settings.public_url.endswith("/"):
        yield _wrong("public_url", "ends with a slash: leave it out, paths are put behind it.")


def _witness(settings: Settings) -> Findings:
    """A witness at an address is another host, whose key is known here before it says anything."""
    where = settings.witness
    if where.startswith("mailto:") and not settings.smtp_host:
        yield _wrong("witness", "is a mailbox, and SIFILMA_SMTP_HOST is not set: no mail leaves.")
    if where.startswith("http://") and not is_loopback(where):
        yield _wrong("witness", "is no https address: set one, so that nobody between answers in the witness's place.")


def _witness_key(settings: Settings) -> Findings:
    is_address = settings.witness.startswith(("https://", "http://"))
    if is_address and not WITNESS_KEY.fullmatch(settings.witness_key):
        yield _wrong("witness_key", "is not what `sifilma witness set-up` printed there: name, key id and key of who cosigns the log.")


def _web(settings: Settings) -> Findings:
    if not settings.https:
        yield _wrong("https", "is off: set it to true, and let the proxy end TLS.")
    if settings.trusted_proxies == 0:
        yield _wrong("trusted_proxies", "is 0: set the number of proxies in front, else every caller has the proxy's address.")
    if settings.host not in ("127.0.0.1", "::1", "localhost"):
        yield _doubtful("host", "is no loopback address: only the proxy may reach it, for the server believes its X-Forwarded-For.")


# --- database and HSM ------------------------------------------------------------------------------------------------


def _database(settings: Settings) -> Findings:
    url = settings.database_url
    if not url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        yield _wrong("database_url", "is empty or no PostgreSQL: set postgresql://USER@HOST/NAME; SQLite is for practice.")
    elif _split(url) and not is_loopback(url) and "sslmode=" not in url:
        yield _doubtful("database_url", "has no sslmode: add ?sslmode=verify-full, for the database is another machine.")
    if not settings.home.is_absolute():
        yield _doubtful("home", "is relative: set a full path, so that every command finds the same folder.")


def is_softhsm(module: str) -> bool:
    """Return whether a PKCS#11 library calls itself SoftHSM, by its path or by what its path leads to.

    A library under another name is found when its token is opened: there the maker counts (`hsm.TokenConfig.refused_makers`).
    """
    return SOFTHSM in module.lower() or SOFTHSM in str(Path(module).resolve()).lower()


def _hsm(settings: Settings) -> Findings:
    if is_softhsm(settings.hsm_module):
        yield _wrong("hsm_module", "is SoftHSM: set the PKCS#11 library of the HSM; SoftHSM keeps keys in files.")
    if not settings.hsm_token_serial:
        yield _doubtful("hsm_token_serial", "is not set: set the token's serial number, so that no other of the same label is taken.")
    yield from _second_hsm(settings)


def _second_hsm(settings: Settings) -> Findings:
    """Two HSMs with one label are one record, and two with one library share its fate."""
    if not settings.second_hsm_token:
        return
    if settings.second_hsm_token in (settings.hsm_token, settings.root_token):
        yield _wrong("second_hsm_token", "is the label of another token: give each a label of its own.")
    if not settings.optional_secret("second_hsm_pin"):
        yield _wrong("second_hsm_pin", "is not set: the second HSM is opened with it.")
    if is_softhsm(settings.second_hsm_module):
        yield _wrong("second_hsm_module", "is SoftHSM: set the PKCS#11 library of the HSM; SoftHSM keeps keys in files.")
    if settings.second_hsm_module in ("", settings.hsm_module) and settings.hsm_apart == "library":
        yield _doubtful("hsm_apart", "is library, and both HSMs have one: whichever hangs holds up the other. Set process.")


# --- messages --------------------------------------------------------------------------------------------------------


def _messages(settings: Settings) -> Findings:
    if settings.smtp_host:
        if nowhere := _leads_nowhere(settings.smtp_from.rpartition("@")[2]):
            yield _wrong("smtp_from", f"is of a host that {nowhere}: set the sender's address that mail servers accept.")
        if settings.smtp_security == "none" and not is_loopback(f"smtp://{settings.smtp_host}"):
            yield _doubtful("smtp_security", "is none: codes cross the network in clear; set starttls or tls.")
    else:
        yield _doubtful("smtp_host", "is not set: no mail leaves, neither codes nor reminders.")
    if settings.sms_webhook_url and not settings.sms_webhook_url.startswith("https://") and not is_loopback(settings.sms_webhook_url):
        yield _wrong("sms_webhook_url", "is no https address: codes and the gateway's token would cross the network in clear.")
    on = {"email": bool(settings.smtp_host), "sms": bool(settings.smpp_host or settings.sms_webhook_url)}
    if off := [channel for channel in settings.code_channels if not on[channel]]:
        yield _doubtful("code_channels", f"names {', '.join(off)}, for which no server is set: such codes do not arrive.")


def _contact(settings: Settings) -> Findings:
    if not (settings.contact_email or settings.contact_phone):
        yield _doubtful("contact_email", "is not set, nor is SIFILMA_CONTACT_PHONE: the page Kontak names nobody.")


# --- papers ------------------------------------------------------------------------------------------------------------


def _papers(settings: Settings) -> Findings:
    """What papers print for good is the operator's own, and no word that stands for another."""
    basis = settings.legal_basis_destruction
    meaning = "set the regulation, article and paragraph that destructions rest on, as each Berita Acara prints them"
    if found := PLACEHOLDER.search(basis):
        yield _wrong("legal_basis_destruction", f"contains {found[0]!r}, which stands for something still to be written: {meaning}.")
    elif basis == Settings.model_fields["legal_basis_destruction"].default:
        yield _doubtful("legal_basis_destruction", f"is not set, and names a regulation without its articles: {meaning}.")


# --- practice and reality apart --------------------------------------------------------------------------------------


def _for_practice(text: str) -> bool:
    return any(word in text.lower() for word in PRACTICE)


def _nothing_of_practice(settings: Settings) -> Findings:
    """Nothing of a training installation comes into a real one."""
    for name, text in (("issuer", _host(settings.issuer)), ("public_url", _host(settings.public_url)),
                       ("hsm_token", settings.hsm_token), ("root_token", settings.root_token),
                       ("second_hsm_token", settings.second_hsm_token)):  # fmt: skip
        if _for_practice(text):
            yield _wrong(name, "is that of a training installation: set that of this one, or SIFILMA_ENV=training.")


def _only_of_practice(settings: Settings) -> Findings:
    """Nothing of a real installation comes into training: its manifests name an issuer that says so, signed by tokens that say so."""
    words = " or ".join(PRACTICE)
    if _split(settings.issuer) is None or not _for_practice(_host(settings.issuer)):
        yield _wrong("issuer", f"is no URI whose host contains {words}: set one, so that no manifest of practice is taken for a real one.")
    second = (("second_hsm_token", settings.second_hsm_token),) if settings.second_hsm_token else ()
    for name, label in (("hsm_token", settings.hsm_token), ("root_token", settings.root_token), *second):
        if not _for_practice(label):
            yield _wrong(name, f"does not contain {words}: practice has tokens of its own.")
    parts = _split(settings.public_url)
    if parts is None or (parts.scheme != "https" and not is_loopback(settings.public_url)):
        yield _wrong("public_url", "is neither https nor an address of this machine: set one of both.")
    elif parts.scheme == "https" and not settings.https:
        yield _wrong("https", "is off, but SIFILMA_PUBLIC_URL is https: set it to true.")


def _demo(settings: Settings) -> Findings:
    if settings.database_url or not is_softhsm(settings.hsm_module) or settings.https:
        yield Finding("env", "SIFILMA_ENV=demo is refused: a production database, HSM or https is configured.")


RULES: dict[str, tuple[Callable[[Settings], Findings], ...]] = {
    "production": (
        _secrets, _secrets_to_doubt, _addresses, _witness, _web, _database, _hsm, _messages, _contact, _papers, _nothing_of_practice,
    ),
    "training": (_secrets, _only_of_practice),
    "demo": (_demo,),
    "test": (),
}  # fmt: skip


def completed(settings: Settings) -> Settings:
    """Return the settings with what the kind of installation gives where the operator gave nothing."""
    given = settings.model_fields_set
    if settings.env in ("demo", "test"):
        missing = {name: SecretStr(value) for name, value in DEMO.items() if getattr(settings, name) is None}
        return settings.model_copy(update=missing)
    if settings.env == "training":
        return settings.model_copy(update={name: value for name, value in TRAINING.items() if name not in given})
    return settings


TRAINING = {
    "issuer": "https://latihan.sifilma.invalid",
    "hsm_token": "sifilma-latihan",
    "root_token": "sifilma-root-latihan",
}
"""Of a training installation for which nothing else was set. The host exists nowhere (RFC 2606)."""
