"""Invariants of people, their accounts, codes and keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Integer, and_, case, cast, func, literal, or_, select

from sifilma.accounts.models import ACCEPTS, AccountConsent, heads_too_soon_sql, kin_sql
from sifilma.fsck.dialects import bare, dashed, fact, later, newest_entry
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Broken, Snapshot, broken
from sifilma.identity.models import Invitation, User, role_names, role_set
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.seals import Sealer, columns
from sifilma.sign_in.authority import kind_of
from sifilma.sign_in.recovery_codes import COUNT
from sifilma.sign_in.resealing import models
from sifilma.sign_in.totp import STEP, open_seed

GRACE_S = 10
"""Seconds. A request that began before its account was disabled may end within its deadline."""

ENTRY, USER, KEY, PERSON = bare("audit_entry"), bare("user_account"), bare("api_key"), bare("person")
_STEP = fact(ENTRY.c.data, "step")
_CODES = (
    select(case((ENTRY.c.action == "user.enrol", ENTRY.c.object_id), else_=dashed(ENTRY.c.user_id)).label("user_id"), _STEP.label("step"))
    .where(ENTRY.c.action.in_(("session.started", "session.stepped_up", "user.enrol")), _STEP.is_not(None))
    .subquery("code")
)
"""Each code that was accepted: whose, and its step."""


@in_snapshot("otp-once", "A one-time code's step is used once, ever.")
def otp_once(now: Snapshot) -> Found:
    """Compare the accepted codes in the audit entries with each other and with the newest step that the account stores."""
    yield from now.find(
        "user",
        select(_CODES.c.user_id.label("id"), _CODES.c.step, func.count().label("times"))
        .group_by(_CODES.c.user_id, _CODES.c.step)
        .having(func.count() > 1),
        "used the code of step {step} {times} times",
    )
    newest = func.max(cast(_CODES.c.step, Integer))
    yield from now.find(
        "user",
        select(USER.c.id, USER.c.totp_last_step, newest.label("newest"))
        .join(_CODES, _CODES.c.user_id == dashed(USER.c.id))
        .group_by(USER.c.id, USER.c.totp_last_step)
        .having(newest > USER.c.totp_last_step),
        "has step {totp_last_step} as its newest, and used step {newest}",
    )
    yield from now.find(
        "user",
        "SELECT id, totp_last_step FROM user_account WHERE totp_last_step > :present",
        "has used the code of step {totp_last_step}, which has not come yet",
        present=int(now.now.timestamp()) // STEP + 1,
    )


_SWITCHED = (
    select(
        ENTRY.c.object_id.label("user_id"),
        ENTRY.c.action,
        ENTRY.c.at,
        func.lead(ENTRY.c.at).over(partition_by=ENTRY.c.object_id, order_by=ENTRY.c.id).label("until"),
    )
    .where(ENTRY.c.object_kind == "user", ENTRY.c.action.in_(("user.disable", "user.enable", "user.enrol")))
    .subquery("switched")
)
_DISABLED = select(_SWITCHED).where(_SWITCHED.c.action == "user.disable").subquery("disabled")
"""When somebody was disabled, and until when."""


@in_snapshot("disabled-acts", "Nobody acts after being disabled, and no revoked key does.")
def disabled(now: Snapshot) -> Found:
    """Check until the account is enabled again. Requests that were running may end (GRACE_S)."""
    yield from now.find(
        "user",
        select(dashed(ENTRY.c.user_id).label("id"), ENTRY.c.action, ENTRY.c.id.label("entry")).join(
            _DISABLED,
            and_(
                _DISABLED.c.user_id == dashed(ENTRY.c.user_id),
                ENTRY.c.at > later(_DISABLED.c.at, GRACE_S),
                or_(_DISABLED.c.until.is_(None), ENTRY.c.at < _DISABLED.c.until),
            ),
        ),
        "was disabled, and acted afterwards: {action} (audit entry {entry})",
    )
    yield from now.find(
        "user",
        "SELECT u.id FROM user_account u JOIN login_session s ON s.user_id = u.id WHERE u.state = 'disabled' AND s.ended_at IS NULL"
        " AND s.otp_at IS NOT NULL",
        "is disabled, and has a session that was never ended",
    )
    yield from now.find(
        "api_key",
        select(KEY.c.id, ENTRY.c.action)
        .join(ENTRY, ENTRY.c.api_key_id == KEY.c.id)
        .where(KEY.c.revoked_at.is_not(None), ENTRY.c.at > later(KEY.c.revoked_at, GRACE_S)),
        "was revoked, and used afterwards: {action}",
    )


@in_snapshot("key-terms", "An API key has the scopes, addresses and last day that an audit entry gave it.")
def terms(now: Snapshot) -> Found:
    """Compare each key with the newest entry about its terms."""
    last = newest_entry("api_key", KEY.c.id, "api_key.create", "api_key.change", "api_key.keep")
    query = (
        select(KEY.c.id, KEY.c.scopes, KEY.c.addresses, KEY.c.expires_at, fact(ENTRY.c.data, "scopes").label("given"),
               fact(ENTRY.c.data, "addresses").label("places"), fact(ENTRY.c.data, "expires").label("until"))
        .select_from(KEY).outerjoin(ENTRY, ENTRY.c.id == last)
    )  # fmt: skip
    for row in now.rows(query):
        if row.given is None:
            yield broken("api_key", row.id, "has scopes that no audit entry gave")
        elif row.scopes != row.given:
            yield broken("api_key", row.id, f"has the scopes '{row.scopes}', its entry gave '{row.given}'")
        elif row.addresses != (row.places or ""):
            yield broken("api_key", row.id, f"is taken from '{row.addresses}', its entry says '{row.places or ''}'")
        elif _second(row.expires_at) != int(row.until or 0):
            yield broken("api_key", row.id, "has another last day than its entry gave")


def _second(value: Any) -> int:
    """Return the seconds since 1970 of a stored moment. SQLite stores moments as text, in UTC."""
    return int((datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value).timestamp())


@in_snapshot("account-state", "An account is disabled exactly when the last word on it says so.")
def state(now: Snapshot) -> Found:
    """Compare the account's state with the newest audit entry about it."""
    word = ENTRY.alias("word")
    last = (
        select(word.c.id)
        .where(word.c.object_kind == "user", word.c.object_id == dashed(USER.c.id))
        .where(word.c.action.in_(("user.disable", "user.enable", "user.enrol")))
        .order_by(word.c.id.desc())
        .limit(1)
        .correlate(USER)
        .scalar_subquery()
    )
    is_off, says_off = USER.c.state == "disabled", ENTRY.c.action == "user.disable"
    return now.find(
        "user",
        select(USER.c.id, USER.c.state)
        .select_from(USER)
        .outerjoin(ENTRY, ENTRY.c.id == last)
        .where(or_(and_(is_off, ENTRY.c.action.is_distinct_from("user.disable")), and_(USER.c.state == "active", says_off))),
        "is {state}, the record of acts says otherwise",
    )


@in_snapshot("person-once", "One human being is one person: the identity says who it is.")
def person_once(now: Snapshot) -> Found:
    """Compare the identity with kind and number. The number of an employee is unique within the organisation only.

    A stand-in has no identity but what it claims, and a person may be claimed by several.
    """
    yield from now.find(
        "person",
        "SELECT id FROM person WHERE pseudonym_act_id IS NULL AND id_kind <> 'employee' AND"
        " COALESCE(claims, identity) <> id_kind || ':' || id_number",
        "has an identity that is not its kind and number",
    )
    yield from now.find(
        "person",
        select(PERSON.c.id)
        .join(USER, USER.c.person_id == PERSON.c.id)
        .where(PERSON.c.id_kind == "employee", PERSON.c.pseudonym_act_id.is_(None))
        .where(
            func.coalesce(PERSON.c.claims, PERSON.c.identity)
            != literal("employee:") + dashed(USER.c.organisation_id) + ":" + PERSON.c.id_number
        ),
        "has an identity that is not its organisation and number",
    )
    yield from now.find(
        "person",
        "SELECT p.id FROM person p JOIN person q ON q.id_kind = p.id_kind AND q.id_number = p.id_number AND q.id < p.id"
        " WHERE p.id_kind <> 'employee' AND p.claims IS NULL AND q.claims IS NULL",
        "is another person of the same kind and number",
    )
    yield from now.find(
        "person",
        # Numbered within each spelling: comparing each person with each other takes minutes where there are thousands.
        "SELECT t.id FROM (SELECT p.id, ROW_NUMBER() OVER (PARTITION BY UPPER(p.identity) ORDER BY p.id) AS place FROM person p"
        " WHERE p.id_kind = 'employee' AND p.claims IS NULL"
        " AND EXISTS (SELECT 1 FROM user_account u WHERE u.person_id = p.id AND u.state <> 'disabled')) t"
        " WHERE t.place > 1",
        "has the number of another person of its organisation in another spelling (`sifilma users clashes`)",
    )


_MIGRATED = "SELECT h.object_id FROM history h JOIN audit_entry e ON e.id = h.act_id WHERE e.request_id = 'migration-0021'"
"""Accounts that were in place before anybody was asked: the migration recorded them as accepted."""


@in_snapshot("consent", "A known person consented to each further account of theirs, and an account in use claims to be nobody's.")
def consent(now: Snapshot) -> Found:
    """Count the accounts of each person, and look who accepted."""
    yield from now.find(
        "user",
        "SELECT u.id, u.state FROM user_account u JOIN person p ON p.id = u.person_id WHERE p.claims IS NOT NULL"
        " AND (u.state = 'active' OR u.password_hash <> '' OR u.totp_sealed IS NOT NULL)",
        "is {state}, and only claims to be a person",
    )
    yield from now.find(
        "person",
        "SELECT u.person_id AS id, COUNT(*) AS accounts FROM user_account u"
        " WHERE (u.password_hash <> '' OR u.totp_last_step > 0) AND NOT EXISTS (SELECT 1 FROM account_consent c"
        " WHERE c.user_id = u.id AND c.person_id = u.person_id AND c.state = 'accepted') GROUP BY u.person_id HAVING COUNT(*) > 1",
        "has {accounts} accounts to which nobody consented",
    )
    yield from now.find(
        "account_consent",
        f"SELECT c.id FROM account_consent c WHERE c.state = 'accepted' AND NOT {ACCEPTS} AND c.id NOT IN ({_MIGRATED})",
        "was accepted by somebody else than the person, and not by two user administrators",
    )


@in_snapshot("capabilities", "user_admin and approver never meet in one person, and an auditor holds nothing else.")
def capabilities(now: Snapshot) -> Found:
    """Check over all accounts of a person that are not disabled."""
    return now.find(
        "person",
        "SELECT DISTINCT p.id FROM person p JOIN user_account u ON u.person_id = p.id AND u.state <> 'disabled' JOIN user_role mine"
        " ON mine.user_id = u.id AND mine.until IS NULL JOIN user_account v ON v.person_id = p.id AND v.state <> 'disabled' JOIN user_role"
        " theirs ON theirs.user_id = v.id AND theirs.until IS NULL WHERE (mine.role = 'user_admin' AND theirs.role = 'approver')"
        " OR (mine.role = 'auditor' AND theirs.role <> 'auditor')",
        "holds capabilities that never meet in one person",
    )


@in_snapshot("pseudonym", "A pseudonym was given by its act, and the accounts of such a person are disabled and tell nothing.")
def pseudonym(now: Snapshot) -> Found:
    """Compare pseudonymised persons with their audit entries and accounts, and the entries with the persons."""
    act = ENTRY.alias("act")
    yield from now.find(
        "person",
        select(PERSON.c.id)
        .outerjoin(act, act.c.id == PERSON.c.pseudonym_act_id)
        .where(PERSON.c.pseudonym_act_id.is_not(None))
        .where(or_(act.c.action.is_distinct_from("person.pseudonymise"), act.c.object_id.is_distinct_from(dashed(PERSON.c.id)))),
        "has a pseudonym that no act gave",
    )
    yield from now.find(
        "person",
        "SELECT id FROM person WHERE (identity LIKE 'former:%') <> (pseudonym_act_id IS NOT NULL)",
        "has an identity that does not say whether it is a pseudonym",
    )
    yield from now.find(
        "person",
        "SELECT p.id, u.state FROM person p JOIN user_account u ON u.person_id = p.id WHERE p.pseudonym_act_id IS NOT NULL"
        " AND (u.state <> 'disabled' OR u.email <> '' OR u.phone <> '' OR u.password_hash <> '' OR u.totp_sealed IS NOT NULL"
        " OR u.username NOT LIKE 'former.%')",
        "has a pseudonym, and an account that is {state} and tells more",
    )


_GIVEN_UP = "user_change c WHERE c.change = 'factor' AND c.state = 'executed'"


@in_snapshot("lost-factor", "A second factor is given up by two persons who may, and nothing of before counts from then on.")
def lost_factor(now: Snapshot) -> Found:
    """Check that the proposal has its one link, and that older passkeys, recovery codes and sessions have ended."""
    yield from now.find(
        "user_change",
        f"SELECT c.id FROM {_GIVEN_UP} AND NOT EXISTS (SELECT 1 FROM invitation i WHERE i.change_id = c.id AND i.user_id = c.user_id)",
        "gave up a second factor and made no link for its account",
    )
    yield from now.find(
        "invitation",
        "SELECT i.id FROM invitation i WHERE i.change_id IS NOT NULL AND i.change_id NOT IN (SELECT c.id FROM user_change c"
        " WHERE c.change IN ('factor', 'person') AND c.state = 'executed' AND c.user_id = i.user_id)",
        "is of a proposal that was not executed",
    )
    yield from now.find(
        "user_change",
        f"SELECT c.id FROM {_GIVEN_UP} AND EXISTS (SELECT 1 FROM user_account u WHERE u.id = c.user_id AND u.person_id"
        " IN (c.proposed_by_person, c.decided_by_person))",
        "gave up the second factor of the person who proposed or decided it",
    )
    since = f"{_GIVEN_UP} AND c.known_before IS NOT NULL"  # reports of before the rule have no such moment
    yield from now.find(
        "user_change",
        f"SELECT c.id FROM {since} AND {kin_sql('c')}",
        "gave up a second factor by somebody whom the proposer had invited lately, or who had invited the proposer",
    )
    yield from now.find(
        "user_change",
        f"SELECT c.id FROM {since} AND {heads_too_soon_sql('c')}",
        "gave up a second factor by heads who were new, or before the person's time to object was over",
    )
    for table in ("passkey", "recovery_code", "login_session"):
        yield from now.find(
            table,
            f"SELECT p.id FROM {table} p WHERE EXISTS (SELECT 1 FROM {_GIVEN_UP} AND c.user_id = p.user_id AND p.created_at < c.decided_at"
            " AND (p.ended_at IS NULL OR p.ended_at > c.decided_at))",
            "counts after its account's second factor was given up",
        )


@in_snapshot("messages-wiped", "A message that has left has lost its text, and a code that is through has too.")
def messages_wiped(now: Snapshot) -> Found:
    """Check that only messages that were given up keep their text, sealed, to be sent again; codes are always erased."""
    return now.find(
        "message",
        "SELECT m.id, m.state FROM outbox_message m WHERE LENGTH(m.sealed) > 0"
        " AND (m.state = 'sent' OR (m.purpose = 'code' AND m.state IN ('failed', 'lapsed')))",
        "is {state} and still has its text",
    )


@in_snapshot("seed-opens", "Every authenticator's seed is sealed, and opens with this installation's key, for its account only.")
def seed_opens(now: Snapshot) -> Found:
    """Open each seed in memory, one at a time. None is shown."""
    for row in now.rows("SELECT id, totp_sealed FROM user_account WHERE totp_sealed IS NOT NULL"):
        account = broken("user", row.id, "has a seed that is not sealed for it under the key of this installation")
        try:
            open_seed(now.settings, account.id, bytes(row.totp_sealed))
        except (Unavailable, ValueError):
            yield account


@in_snapshot("row-sealed", "Every row that gives authority was written by the service: its seal fits.")
def row_sealed(now: Snapshot) -> Found:
    """Verify accounts with their roles, sessions, API keys, links, passkeys and recovery codes. Rows that have ended need no seal."""
    sealer = Sealer(now.settings)
    for model in models():
        for row in now.rows(select(*columns(model)).where(*model.standing(now.now))):
            if not sealer.fits(model, row):
                yield broken(kind_of(model), row.id, "stands, and its seal does not fit: it counts as absent")


@in_snapshot("authority-version", "An account has the version to which the newest act on it leads.")
def authority_version(now: Snapshot) -> Found:
    """Compare with the entries. Putting back an old row, with the seal it had, is found here: the log knows of a later one."""
    version = fact(ENTRY.c.data, "version")
    newest = (
        select(ENTRY.c.object_id, func.max(cast(version, Integer)).label("version"))
        .where(ENTRY.c.object_kind == "user", version.is_not(None))
        .group_by(ENTRY.c.object_id)
        .subquery("newest")
    )
    leads = func.coalesce(newest.c.version, 0)
    return now.find(
        "user",
        select(USER.c.id, USER.c.authority_version, leads.label("newest"))
        .outerjoin(newest, newest.c.object_id == dashed(USER.c.id))
        .where(leads != USER.c.authority_version),
        "has version {authority_version}, the newest act on it leads to {newest}",
    )


@in_snapshot(
    "authority-acts", "Roles, API keys, links, passkeys, recovery codes and sessions stand because an act made them, and none ended them."
)
def authority_acts(now: Snapshot) -> Found:
    """Compare what stands with the entries of the acts that make and end it."""
    yield from _roles_by_acts(now)
    yield from _made_and_not_ended(now)
    yield from _recovery_codes(now)


def _roles_by_acts(now: Snapshot) -> Iterator[Broken]:
    said: dict[str, str] = {}
    told = fact(ENTRY.c.data, "roles")
    for row in now.rows(
        select(ENTRY.c.object_id, told.label("roles")).where(ENTRY.c.object_kind == "user", told.is_not(None)).order_by(ENTRY.c.id)
    ):
        said[row.object_id] = row.roles
    for row in now.rows(select(*columns(User))):
        held = role_names(role_set(row.roles))
        if held != said.get(str(row.id)):
            yield broken("user", row.id, f"holds the roles {held or '-'}, its newest act says {said.get(str(row.id)) or '-'}")


def _made_and_not_ended(now: Snapshot) -> Iterator[Broken]:
    """What has an entry at its beginning or end: the object of the entry, or a fact of it (passkeys)."""
    added = fact(ENTRY.c.data, "passkey")
    key, passkey, session = bare("api_key"), bare("passkey"), bare("login_session")
    makes = (
        ("api_key", key, "revoked_at", "api_key.create", ENTRY.c.object_id),
        ("passkey", passkey, "ended_at", "user.passkey_add", added),
    )
    ends = (
        ("api_key", key, "revoked_at", "api_key.revoke", ENTRY.c.object_id),
        ("passkey", passkey, "ended_at", "user.passkey_remove", added),
        ("session", session, "ended_at", "session.ended", ENTRY.c.object_id),
    )
    for kind, table, ended, action, named in makes:
        made = select(ENTRY.c.id).where(ENTRY.c.action == action, named == dashed(table.c.id)).exists()
        yield from now.find(kind, select(table.c.id).where(table.c[ended].is_(None), ~made), "stands, and no act made it")
    for kind, table, ended, action, named in ends:
        over = select(ENTRY.c.id).where(ENTRY.c.action == action, named == dashed(table.c.id)).exists()
        yield from now.find(kind, select(table.c.id).where(table.c[ended].is_(None), over), "stands, and an act ended it")
    yield from _links(now)


def _links(now: Snapshot) -> Iterator[Broken]:
    about = and_(ENTRY.c.object_kind == "user", ENTRY.c.object_id == dashed(Invitation.user_id))
    invited = select(ENTRY.c.id).where(about, ENTRY.c.action == "user.invite").exists()
    used = select(ENTRY.c.id).where(about, ENTRY.c.action == "user.enrol", ENTRY.c.id > Invitation.id).exists()
    # Each of these acts lets the links of before lapse. An invitation has its own entry, written a moment after its link.
    since, own = ENTRY.c.at > Invitation.created_at, bare("audit_entry").alias("own")
    first = select(own.c.id).where(
        own.c.object_kind == "user", own.c.object_id == dashed(Invitation.user_id), own.c.action == "user.invite",
        own.c.id > Invitation.id, own.c.id < ENTRY.c.id,
    )  # fmt: skip
    again = and_(ENTRY.c.action == "user.invite", or_(Invitation.consent_id.is_not(None), first.correlate(Invitation, ENTRY).exists()))
    ended = select(ENTRY.c.id).where(about, since, or_(ENTRY.c.action == "user.disable", again))
    consent = select(ENTRY.c.id).join(AccountConsent, ENTRY.c.object_id == dashed(AccountConsent.id))
    consent = consent.where(AccountConsent.user_id == Invitation.user_id, ENTRY.c.action == "user.consent_accept")
    accepted = consent.where(since).correlate(Invitation)
    standing = select(Invitation.id).where(*Invitation.standing(now.now))
    yield from now.find("invitation", standing.where(~invited), "stands, and no act made it")
    yield from now.find("invitation", standing.where(used), "stands, and its account was taken up since")
    over = or_(ended.exists(), accepted.exists())
    yield from now.find("invitation", standing.where(over), "stands, and an act let it lapse")


def _recovery_codes(now: Snapshot) -> Iterator[Broken]:
    """Codes stand of the newest making only, as many fewer as were used since, and none once the account was invited again."""
    made: dict[str, Any] = {}
    used: Counter[str] = Counter()
    acts = ("user.recovery_codes", "session.recovery_code", "user.invite")
    entries = select(ENTRY.c.object_id, ENTRY.c.action, ENTRY.c.id).where(ENTRY.c.action.in_(acts))
    for row in now.rows(entries.order_by(ENTRY.c.id)):
        if row.action == acts[0]:
            made[row.object_id], used[row.object_id] = row.id, 0
        elif row.action == acts[1]:
            used[row.object_id] += 1
        else:
            made.pop(row.object_id, None)
    code = bare("recovery_code")
    per_account: tuple[Any, ...] = (dashed(code.c.user_id).label("id"), func.count().label("unused"))
    for row in now.rows(select(*per_account).where(code.c.ended_at.is_(None)).group_by(code.c.user_id)):
        most = COUNT - used[row.id] if row.id in made else 0
        if row.unused > most:
            yield broken("user", row.id, f"has {row.unused} recovery codes that were not used, by the record of acts {most}")
