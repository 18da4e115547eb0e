"""Invariants of people, their accounts, codes and keys."""

from __future__ import annotations

from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot, broken
from sifilma.kernel.errors import Unavailable
from sifilma.sign_in.totp import STEP, open_seed

GRACE_S = 10
"""Seconds. A request that began before its account was disabled may end within its deadline."""

# The accepted codes. Signing in and stepping up are acts of the user; enrolment is an act about the user, who is not signed in yet.
_CODES = (
    "SELECT CASE e.action WHEN 'user.enrol' THEN e.object_id ELSE dashed(e.user_id) END AS user_id, fact(e.data, step) AS step"
    " FROM audit_entry e WHERE e.action IN ('session.started', 'session.stepped_up', 'user.enrol') AND fact(e.data, step) IS NOT NULL"
)


@in_snapshot("otp-once", "A one-time code's step is used once, ever.")
def otp_once(now: Snapshot) -> Found:
    """Compare the accepted codes in the audit entries with each other and with the newest step that the account stores."""
    yield from now.find(
        "user",
        f"SELECT w.user_id AS id, w.step, COUNT(*) AS times FROM ({_CODES}) w GROUP BY w.user_id, w.step HAVING COUNT(*) > 1",
        "used the code of step {step} {times} times",
    )
    yield from now.find(
        "user",
        "SELECT u.id, u.totp_last_step, MAX(CAST(w.step AS INTEGER)) AS newest FROM user_account u"
        f" JOIN ({_CODES}) w ON w.user_id = dashed(u.id) GROUP BY u.id, u.totp_last_step"
        " HAVING MAX(CAST(w.step AS INTEGER)) > u.totp_last_step",
        "has step {totp_last_step} as its newest, and used step {newest}",
    )
    yield from now.find(
        "user",
        "SELECT id, totp_last_step FROM user_account WHERE totp_last_step > :present",
        "has used the code of step {totp_last_step}, which has not come yet",
        present=int(now.now.timestamp()) // STEP + 1,
    )


# The periods in which each account was disabled: from a `user.disable` to the next act that ends it, or open.
_DISABLED = (
    "SELECT s.object_id AS user_id, s.at, s.until FROM (SELECT e.object_id, e.action, e.at,"
    " LEAD(e.at) OVER (PARTITION BY e.object_id ORDER BY e.id) AS until FROM audit_entry e"
    " WHERE e.object_kind = 'user' AND e.action IN ('user.disable', 'user.enable', 'user.enrol')) s WHERE s.action = 'user.disable'"
)


@in_snapshot("disabled-acts", "Nobody acts after being disabled, and no revoked key does.")
def disabled(now: Snapshot) -> Found:
    """Check until the account is enabled again. Requests that were running may end (GRACE_S)."""
    yield from now.find(
        "user",
        f"SELECT dashed(e.user_id) AS id, e.action, e.id AS entry FROM audit_entry e JOIN ({_DISABLED}) d ON d.user_id = dashed(e.user_id)"
        f" AND e.at > later(d.at, {GRACE_S}) AND (d.until IS NULL OR e.at < d.until)",
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
        "SELECT k.id, e.action FROM api_key k JOIN audit_entry e ON e.api_key_id = k.id"
        f" WHERE k.revoked_at IS NOT NULL AND e.at > later(k.revoked_at, {GRACE_S})",
        "was revoked, and used afterwards: {action}",
    )


@in_snapshot("account-state", "An account is disabled exactly when the last word on it says so.")
def state(now: Snapshot) -> Found:
    """Compare the account's state with the newest audit entry about it."""
    mine = "SELECT n.id FROM audit_entry n WHERE n.object_kind = 'user' AND n.object_id = dashed(u.id)"
    last = f"({mine} AND n.action IN ('user.disable', 'user.enable', 'user.enrol') ORDER BY n.id DESC LIMIT 1)"
    return now.find(
        "user",
        f"SELECT u.id, u.state FROM user_account u LEFT JOIN audit_entry e ON e.id = {last}"
        " WHERE (u.state = 'disabled' AND (e.action IS NULL OR e.action <> 'user.disable'))"
        " OR (u.state = 'active' AND e.action = 'user.disable')",
        "is {state}, the record of acts says otherwise",
    )


@in_snapshot("person-once", "One human being is one person: the identity says who it is.")
def person_once(now: Snapshot) -> Found:
    """Compare the identity with kind and number. The number of an employee is unique within the organisation only."""
    yield from now.find(
        "person",
        "SELECT id FROM person WHERE id_kind <> 'employee' AND identity <> id_kind || ':' || id_number",
        "has an identity that is not its kind and number",
    )
    yield from now.find(
        "person",
        "SELECT p.id FROM person p JOIN user_account u ON u.person_id = p.id WHERE p.id_kind = 'employee'"
        " AND p.identity <> 'employee:' || dashed(u.organisation_id) || ':' || p.id_number",
        "has an identity that is not its organisation and number",
    )
    yield from now.find(
        "person",
        "SELECT p.id FROM person p JOIN person q ON q.id_kind = p.id_kind AND q.id_number = p.id_number AND q.id < p.id"
        " WHERE p.id_kind <> 'employee'",
        "is another person of the same kind and number",
    )


@in_snapshot("capabilities", "user_admin and approver never meet in one person, and an auditor holds nothing else.")
def capabilities(now: Snapshot) -> Found:
    """Check over all accounts of a person that are not disabled."""
    return now.find(
        "person",
        "SELECT p.id FROM person p JOIN user_account u ON u.person_id = p.id AND u.state <> 'disabled' JOIN user_account v"
        " ON v.person_id = p.id AND v.state <> 'disabled' WHERE (u.roles LIKE '%user_admin%' AND v.roles LIKE '%approver%')"
        " OR (u.roles LIKE '%auditor%' AND v.roles <> 'auditor')",
        "holds capabilities that never meet in one person",
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
        f"SELECT i.id FROM invitation i WHERE i.change_id IS NOT NULL AND i.change_id NOT IN (SELECT c.id FROM {_GIVEN_UP})",
        "is of a proposal that was not executed",
    )
    yield from now.find(
        "user_change",
        f"SELECT c.id FROM {_GIVEN_UP} AND EXISTS (SELECT 1 FROM user_account u WHERE u.id = c.user_id AND u.person_id"
        " IN (c.proposed_by_person, c.decided_by_person))",
        "gave up the second factor of the person who proposed or decided it",
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
