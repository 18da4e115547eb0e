"""What `sifilma doctor` looks at, group by group. Every check yields its lines; none changes anything, and none tells a secret."""

from __future__ import annotations

import os
import secrets
import socket
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import product
from pathlib import Path

from cryptography import x509
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from config import breached_passwords, holidays
from config.loading import SECRETS_DIR, Reading
from config.settings import Settings, SettingsError
from config.soundness import DEMO, NEEDED, STRENGTH, variable
from hsm import HSM, HSMError, derivation
from hsm.keys import SIGNING_PLAN
from sifilma.activation.trust import ceremonies, key_checks, keyset, published
from sifilma.audit import checkpoints
from sifilma.audit.models import AuditEntry
from sifilma.cards.models import Card
from sifilma.commands.doctor_lines import Line, Lines
from sifilma.commands.doctor_lines import fail as _fail
from sifilma.commands.doctor_lines import ok as _ok
from sifilma.commands.doctor_lines import warn as _warn
from sifilma.commands.witness_check import witness
from sifilma.identity.models import AccountState, User
from sifilma.kernel.db import LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS, db
from sifilma.kernel.errors import SifilmaError
from sifilma.kernel.installation import kind_of, require_home
from sifilma.kernel.timekeeping.targets import local
from sifilma.public.status import LATE
from sifilma.regions import base_map, prepared
from sifilma.regions.service import is_loaded
from sifilma.resources import resources
from sifilma.schema import migrate
from sifilma.web import health

OLDEST_POSTGRESQL = 15
SOON = timedelta(days=180)
"""Before a key or certificate ends, readers must have a new keyset: makers of readers need months."""
APART = timedelta(seconds=2)
"""How far the clocks of this machine and of the database may be apart; by twenty times as much nothing may be signed."""
PATIENCE = 3.0  # seconds to reach a server of messages
FORESIGHT = timedelta(days=60)  # before the file of holidays ends, those of the next year should be in it
OTHER_VARIABLES = frozenset({SECRETS_DIR, "SIFILMA_DEMO_URL"})


@dataclass(frozen=True)
class Check:
    """A group of things to look at. `needs` names groups: where one of them failed, this one is not looked at."""

    group: str
    look: Callable[[Reading], Lines]
    needs: tuple[str, ...] = ()


# --- settings and secrets --------------------------------------------------------------------------------------------


def settings(reading: Reading) -> Lines:
    """What is refused and what is doubtful, and variables that name no setting."""
    for finding in (*reading.unusable, *reading.findings):
        if finding.setting not in STRENGTH:
            yield _fail(finding.text) if finding.refused else _warn(finding.text)
    names = {variable(name) for name in Settings.model_fields}
    for name in sorted(name for name in os.environ if name.startswith("SIFILMA_") and not name.startswith("SIFILMA_TEST_")):
        if name not in names | OTHER_VARIABLES:
            near = get_close_matches(name, names, 1)
            yield _warn(f"{name} names no setting{f': do you mean {near[0]}?' if near else ', and nothing reads it.'}")
    if not any(finding.refused for finding in (*reading.unusable, *reading.findings)):
        yield _ok(f"SIFILMA_ENV is {reading.settings.env}, and no setting is refused.")


def secret_values(reading: Reading) -> Lines:
    """Which secrets are set, whether they are strong, and whether they stand where every process of the account can read them."""
    told = {finding.setting: finding for finding in (*reading.unusable, *reading.findings) if finding.setting in STRENGTH}
    for name in STRENGTH:
        if name in told:
            yield _fail(told[name].text) if told[name].refused else _warn(told[name].text)
        elif reading.settings.optional_secret(name):
            public = reading.settings.optional_secret(name) == DEMO.get(name)
            yield _ok(f"{variable(name)} is {'the public value of the demonstration' if public else 'set, and strong enough'}.")
        elif name in NEEDED:
            yield _fail(f"{variable(name)} is not set.")
        if variable(name) in os.environ:
            yield _warn(f"{variable(name)} stands in the environment: keep it as a file in {SECRETS_DIR}.")


def new_passwords(reading: Reading) -> Lines:
    """Whether the operator's file of breached passwords can be searched. A file that is not sound is told among the settings."""
    path = reading.settings.breached_passwords
    if not path:
        yield _ok("No file of breached passwords is set (SIFILMA_BREACHED_PASSWORDS): new passwords are compared with common ones alone.")
    elif "breached_passwords" not in {finding.setting for finding in reading.findings}:
        begun = time.perf_counter()
        breached_passwords.is_breached(path, secrets.token_hex(16))
        took = (time.perf_counter() - begun) * 1000
        yield _ok(f"{path} ({Path(path).stat().st_size // 2**20} MiB) is searched for a new password within {took:.1f} ms.")


def working_days(reading: Reading) -> Lines:
    """Whether the file of holidays reaches far enough. A file that is not sound is told among the settings."""
    path, today = reading.settings.holidays_file, local(resources().clock.now())
    if not path:
        yield _warn("SIFILMA_HOLIDAYS_FILE is not set: public holidays count as working days, and what is due then is called late.")
    elif "holidays_file" not in {finding.setting for finding in reading.findings}:
        last = max(holidays.load(path))
        if last < today + FORESIGHT:
            yield _warn(f"{path} names no holiday after {last}: later ones count as working days; add those of the next year, and restart.")
        else:
            yield _ok(f"{path} names the public holidays until {last}.")


# --- files -----------------------------------------------------------------------------------------------------------


def home(reading: Reading) -> Lines:
    """Whether the home is there, can be written, and is of this kind of installation."""
    folder = reading.settings.home
    if not folder.is_dir():
        yield _fail(f"SIFILMA_HOME ({folder}) is no folder: `sifilma db upgrade` and the key ceremony make it.")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield _fail(f"SIFILMA_HOME ({folder}) cannot be written by this account.")
    try:
        require_home(reading.settings)
    except SettingsError as other:
        yield _fail(str(other))
        return
    kind = kind_of(folder)
    yield (
        _ok(f"SIFILMA_HOME is of a {kind} installation.")
        if kind
        else _warn("SIFILMA_HOME does not say of which kind it is: `sifilma db upgrade` writes it down.")
    )


def files(reading: Reading) -> Lines:
    """Home and secrets: whose are they, and who may read them. Besides, whether the base of the maps was made."""
    if prepared.find(base_map.FILE) is None:
        yield _warn("The base of the maps was not made for the installed packages: python -m sifilma.regions")
    top = reading.settings.home
    folder = Path(os.environ.get(SECRETS_DIR) or top / "secrets")
    closed = [top, *((folder, *sorted(folder.iterdir())) if folder.is_dir() else ())]
    wrong = [path for path in closed if _open_to_others(path)]
    yield from (_fail(f"{path} can be read by other accounts (mode {_mode(path):04o}): chmod go= {path}") for path in wrong)
    strangers = [path for path in closed if path.stat().st_uid not in (0, os.geteuid())]
    yield from (_warn(f"{path} belongs to another account than the one that runs this command.") for path in strangers)
    if not wrong and not strangers:
        yield _ok(f"{len(closed)} files and folders are closed to other accounts: {top}, and its secrets.")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _open_to_others(path: Path) -> bool:
    return bool(_mode(path) & 0o077)


def disk(_reading: Reading) -> Lines:
    """Whether the disk of home has room."""
    found = health.check_disk()
    if found["ok"]:
        yield _ok(f"{found['free_bytes'] // 2**20} MiB are free under SIFILMA_HOME.")
    elif "error" in found:
        yield _fail(f"The disk of SIFILMA_HOME cannot be asked ({found['error']}).")
    else:
        yield _fail(f"Only {found['free_bytes'] // 2**20} MiB are free under SIFILMA_HOME: make room.")


# --- database --------------------------------------------------------------------------------------------------------


def _session() -> Session:
    """Return a session that only reads."""
    session = Session(db.engine)
    session.connection(execution_options={"sifilma_read_only": True})
    return session


def database(_reading: Reading) -> Lines:
    """Whether the database answers, with which version and which time-outs, and whether it has the schema of this code."""
    url = db.engine.url
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():  # a question would make the file
        yield _fail(f"There is no database {url.database}: `sifilma db upgrade` makes it.")
        return
    found = health.check_database()
    if "error" in found and db.engine.dialect.name == "postgresql":
        yield _fail(f"The database does not answer or has no tables ({found['error']}): start it, check the URL, `sifilma db upgrade`.")
        return
    if not found["ok"]:
        has = found.get("schema") or "none"
        yield _fail(f"The database has schema {has}, this code expects {resources().schema_head}: `sifilma db upgrade`.")
        return
    if db.engine.dialect.name == "postgresql":
        yield from _postgresql()
    else:
        yield _ok(f"SQLite answers, schema {found['schema']}.")


def _postgresql() -> Lines:
    query = text(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000, "
        "current_setting('statement_timeout'), current_setting('lock_timeout'), "
        "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user), current_setting('server_encoding')"
    )
    with _session() as session:
        version, major, statement, lock, is_superuser, encoding = session.execute(query).one()
    if major < OLDEST_POSTGRESQL:
        yield _fail(f"PostgreSQL {version} is too old: at least {OLDEST_POSTGRESQL}.")
    else:
        yield _ok(f"PostgreSQL {version} answers, schema {resources().schema_head}.")
    yield time_outs(statement, lock)
    if encoding != "UTF8":
        yield _fail(f"The database has the encoding {encoding}: make it anew with UTF8.")
    if is_superuser:
        yield _warn("The service's database account is a superuser: give it an account that owns its schema alone.")


def time_outs(statement: str, lock: str) -> Line:
    """Whether the connection has the time-outs that it asked for, as PostgreSQL shows them (`8s`). A pooler may drop them: `0`."""
    wanted = {"statement_timeout": (statement, f"{STATEMENT_TIMEOUT_MS // 1000}s"), "lock_timeout": (lock, f"{LOCK_TIMEOUT_MS // 1000}s")}
    wrong = [f"{name} is {found}, not {right}" for name, (found, right) in wanted.items() if found != right]
    if wrong:
        return _fail(f"{', '.join(wrong)}: a pooler drops what the connection asks for; set both on the role (ALTER ROLE … SET).")
    return _ok(f"statement_timeout is {statement}, lock_timeout {lock}.")


def schema(reading: Reading) -> Lines:
    """Whether tables, indexes and triggers are what the code expects, and whether the database is of this installation."""
    found = migrate.check(reading.settings.database)
    wrong = len(found.differences) + len(found.missing_rules) + len(found.unknown_rules)
    yield (
        _fail(f"{wrong} tables, indexes or triggers are not what the code expects: `sifilma db check` names them.")
        if wrong
        else _ok("Tables, indexes and triggers are what the code expects.")
    )
    with _session() as session:
        try:
            ceremonies.require_database(session, reading.settings)
        except SettingsError as other:
            yield _fail(str(other))
        if published.find_ceremony(session) is None:
            yield _warn("The database has no key ceremony in its record, so nothing ties it to a root: `sifilma hsm ceremony`.")
        administrators = session.scalar(
            select(func.count()).select_from(User).where(User.state == AccountState.ACTIVE, User.roles.contains("user_admin"))
        )
        if (administrators or 0) < 2:  # four eyes
            yield _warn(f"{administrators} user administrators are active, two are needed to invite others: `sifilma users invite`.")
        if not is_loaded(session):
            yield _warn("The database has no region codes: `sifilma regions import`.")


def clock(_reading: Reading) -> Lines:
    """Whether this machine's clock agrees with the database's, and lies behind everything that was recorded."""
    with _session() as session:
        here = resources().clock.now()
        newest = session.scalars(select(AuditEntry.at).order_by(AuditEntry.id.desc()).limit(1)).first()
        there = session.scalar(text("SELECT clock_timestamp()")) if db.engine.dialect.name == "postgresql" else None
    if newest is not None and newest > here + 20 * APART:
        yield _fail(f"The newest act is dated {newest:%Y-%m-%d %H:%M:%S} UTC, after this machine's time: one clock is wrong, check NTP.")
    if there is None:
        yield _ok(f"This machine's time is {here:%Y-%m-%d %H:%M:%S} UTC; SQLite has no clock to compare it with.")
        return
    apart = abs(there - here)
    told = f"The clocks of this machine and of the database are {apart.total_seconds():.1f} s apart"
    yield _ok(f"{told}.") if apart <= APART else (_warn if apart <= 20 * APART else _fail)(f"{told}: check NTP on both.")


# --- HSM and trust ---------------------------------------------------------------------------------------------------


def token(reading: Reading) -> Lines:
    """Whether the token is there, what it is, whether it signs, and whether its keys are what they must be.

    A wrong PIN uses up one of the token's tries, so none is given that is missing or refused anyway.
    """
    if not Path(reading.settings.hsm_module).exists():
        yield _fail(f"SIFILMA_HSM_MODULE ({reading.settings.hsm_module}) is no file: install the HSM's PKCS#11 library.")
        return
    hsm = resources().hsm
    try:
        yield from (_ok(told) if answers else _warn(told) for answers, told in key_checks.tokens(hsm))
        if "hsm_pin" in {finding.setting for finding in reading.findings if finding.refused}:
            yield _fail("The token is not opened with a PIN that is missing or refused.")
            return
        yield from _keys(hsm)
    except HSMError as fault:
        yield _fail(f"{type(fault).__name__}: {fault}.")


def _keys(hsm: HSM) -> Lines:
    state, first, made = health.check_hsm(), hsm.tokens[0], key_checks.load_record(resources().settings)
    found = [] if first.label in hsm.out else first.keys(tuple(made.plan(SIGNING_PLAN)))
    wrong = {info.label: info.faults for info in found if info.faults}
    yield _fail(f"Keys are not what their template demands: {wrong}.") if wrong else _ok(f"{len(found)} keys are there and sound.")
    yield from (_warn(told) for told in key_checks.doubts(resources().settings, found, hsm.out))
    yield (
        _ok("A signature verifies, and no key is another one than was recorded.")
        if state["ok"]
        else _fail(f"No signature can be made: {state.get('last_error') or state.get('error')}.")
    )


def key_check(_reading: Reading) -> Lines:
    """Whether the master key on the token is the one that the newest card was made with."""
    with _session() as session:
        query = select(Card.uid, Card.key_version, Card.kcv).order_by(Card.id.desc()).limit(1)
        card = session.execute(query).first()
    if card is None:
        yield _ok("There is no card yet whose key check value could be compared.")
        return
    try:
        derived = derivation.kcv(resources().hsm.derive_open_key(card.key_version, bytes.fromhex(card.uid)))
    except HSMError as fault:
        yield _fail(f"The key check value of a card cannot be made ({type(fault).__name__}).")
        return
    yield (
        _ok(f"sam-master-v{card.key_version} gives the key check value of the newest card.")
        if derived == card.kcv
        else _fail(
            f"sam-master-v{card.key_version} is not the key the newest card was made with: another token? Nothing may be activated with it."
        )
    )


def trust(reading: Reading) -> Lines:
    """Whether the published keyset is signed by the pinned root and vouches for the token's keys, and when they end."""
    try:
        published = keyset.load(reading.settings)
    except SifilmaError as missing:
        yield _fail(str(missing.detail or missing))
        return
    yield _ok(f"Keyset version {published.keyset.version} is signed by the root {published.pin[:16]}…")
    now = resources().clock.now()
    ends = {f"key {key.kid[:8]} ({key.use})": datetime.fromtimestamp(key.exp, UTC) for key in published.keyset.keys if not key.revoked_at}
    for path in sorted(reading.settings.trust.glob("*.crt")):
        ends[path.name] = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    for name, end in ends.items():
        if end <= now:
            yield _fail(f"{name} ended on {end:%Y-%m-%d}: hold a ceremony.")
        elif end <= now + SOON:
            yield _warn(f"{name} ends on {end:%Y-%m-%d}: hold a ceremony, readers need the new keyset before that.")
    yield _ok(f"{len(ends)} keys and certificates: the first ends on {min(ends.values()):%Y-%m-%d}.")


def vouching(reading: Reading) -> Lines:
    """Whether the keyset vouches for what the token signs with."""
    published, signing = keyset.load(reading.settings), resources().hsm
    used = [token for token in signing.tokens if token.label not in signing.out]
    for token, (label, use) in product(used, keyset.USES):
        try:
            published.kid(token, token.current(label), use)
        except (SifilmaError, HSMError) as refused:
            yield _fail(f"{label}: {refused}")
            return
    yield _ok("The keyset vouches for every key that signs.")


# --- worker and messages ---------------------------------------------------------------------------------------------


def worker(_reading: Reading) -> Lines:
    """Whether the worker signs what was recorded."""
    with _session() as session:
        waiting = checkpoints.unsigned_since(session)
    if waiting is not None and resources().clock.now() - waiting > LATE:
        yield _fail(f"Acts since {waiting:%Y-%m-%d %H:%M} UTC are not signed into the log: start `sifilma worker`.")
    else:
        yield _ok("Everything recorded is signed into the log, or will be within minutes.")


def messages(reading: Reading) -> Lines:
    """Whether the servers of messages can be reached. Nothing is sent."""
    found = reading.settings
    servers = {"mail": (found.smtp_host, found.smtp_port), "SMS": (found.smpp_host, found.smpp_port)}
    for name, (host, port) in servers.items():
        if host:
            yield _reached(name, host, port)
    if not any(host for host, _ in servers.values()) and not found.sms_webhook_url:
        yield _ok("No server of messages is set, so none is asked.")
    if not found.smtp_host and "smtp_host" not in {finding.setting for finding in reading.findings}:
        yield _warn("No mail server is set (SIFILMA_SMTP_HOST): neither codes nor reminders leave by mail.")


def _reached(name: str, host: str, port: int) -> Line:
    try:
        with socket.create_connection((host, port), PATIENCE):
            return _ok(f"The {name} server {host}:{port} accepts connections.")
    except OSError as fault:
        return _fail(f"The {name} server {host}:{port} cannot be reached ({type(fault).__name__}).")


CHECKS = (
    Check("settings", settings),
    Check("secrets", secret_values),
    Check("passwords", new_passwords),
    Check("holidays", working_days, ("application",)),
    Check("home", home),
    Check("files", files, ("home",)),
    Check("disk", disk, ("application",)),
    Check("database", database, ("application",)),
    Check("schema", schema, ("application", "database")),
    Check("clock", clock, ("application", "database")),
    Check("worker", worker, ("application", "database")),
    Check("hsm", token, ("application", "home")),
    Check("key check", key_check, ("application", "database", "hsm")),
    Check("trust", trust, ("application",)),
    Check("witness", lambda reading: witness(reading.settings), ("application", "database", "schema", "trust")),
    Check("vouching", vouching, ("application", "hsm", "trust")),
    Check("messages", messages),
)
"""In the order in which they are told. A part of the installation that gets a check of its own gets a line here."""
