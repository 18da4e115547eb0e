"""What the database refuses of people, their accounts and roles, invitations, sessions and keys."""

from __future__ import annotations

from sifilma.audit import recorded
from sifilma.identity.models import ApiKey, Invitation, LoginSession, Organisation, Person, User
from sifilma.kernel import seals, triggers

# `mine` and `other` are accounts of one person that are not disabled, or the same account; `held` is a role that the other holds.
_MEET = (
    "FROM user_account mine JOIN user_account other ON other.person_id = mine.person_id"
    " AND (other.id = mine.id OR (other.state <> 'disabled' AND mine.state <> 'disabled'))"
    " JOIN user_role held ON held.user_id = other.id AND held.until IS NULL"
)

_THEIRS = (
    "FROM user_role r JOIN user_account other ON other.person_id = NEW.person_id AND other.id <> NEW.id AND other.state <> 'disabled'"
    " JOIN user_role held ON held.user_id = other.id AND held.until IS NULL WHERE r.user_id = NEW.id AND r.until IS NULL"
)


def _exclude(one: str, other: str) -> str:
    """Return the SQL condition that two roles exclude each other: user_admin and approver, auditor and any other."""
    return (
        f"({one} = 'user_admin' AND {other} = 'approver' OR {one} = 'approver' AND {other} = 'user_admin'"
        f" OR {one} = 'auditor' AND {other} <> 'auditor' OR {one} <> 'auditor' AND {other} = 'auditor')"
    )


triggers.guard(
    "capabilities_of_role",
    "user_role",
    "INSERT",
    f"EXISTS (SELECT 1 {_MEET} WHERE mine.id = NEW.user_id AND {_exclude('NEW.role', 'held.role')})",
    "user_role: these capabilities never meet in one person",
)
triggers.guard(
    "capabilities_of_account",
    "user_account",
    "UPDATE",
    f"OLD.state = 'disabled' AND NEW.state <> 'disabled' AND EXISTS (SELECT 1 {_THEIRS} AND {_exclude('r.role', 'held.role')})",
    "user_account: these capabilities never meet in one person",
)
triggers.immutable("user_role", "id", "user_id", "role", "since", "ends_at")
triggers.guard("user_role_ended", "user_role", "UPDATE", "OLD.until IS NOT NULL", "user_role: what has ended is given anew")
triggers.guard("user_account_keep", "user_account", "DELETE", "", "user_account: nothing is deleted")
triggers.guard(
    "user_account_person_alone",
    "user_account",
    "INSERT",
    "EXISTS (SELECT 1 FROM user_account u WHERE u.person_id = NEW.person_id)",
    "user_account: a new account is of nobody who has one",
)
for _event in ("INSERT", "UPDATE"):
    triggers.guard(
        f"user_account_claimed_{_event.lower()}",
        "user_account",
        _event,
        "NEW.state = 'active' AND EXISTS (SELECT 1 FROM person p WHERE p.id = NEW.person_id AND p.claims IS NOT NULL)",
        "user_account: in use only by a person who took it up",
    )
triggers.guard(
    "totp_step_grows", "user_account", "UPDATE", "NEW.totp_last_step < OLD.totp_last_step", "user_account: a one-time code counts once"
)
triggers.immutable("invitation", "user_id", "change_id", "consent_id")
triggers.immutable("api_key", "id", "organisation_id", "key_hash", "created_by", "created_at", "expires_at")
triggers.guard(
    "api_key_revoked",
    "api_key",
    "UPDATE",
    "OLD.revoked_at IS NOT NULL AND (NEW.revoked_at IS DISTINCT FROM OLD.revoked_at OR NEW.scopes <> OLD.scopes)",
    "api_key: what is revoked stays revoked",
)
for _model in (User, Invitation, LoginSession, ApiKey):
    seals.protect(_model)
# Who a person is changes once: when all accounts are disabled, by the act that gives a pseudonym.
_LEFT = (
    "OLD.pseudonym_act_id IS NULL AND OLD.id_kind = NEW.id_kind"
    " AND NOT EXISTS (SELECT 1 FROM user_account u WHERE u.person_id = NEW.id AND u.state <> 'disabled')"
    " AND EXISTS (SELECT 1 FROM audit_entry e WHERE e.id = NEW.pseudonym_act_id AND e.action = 'person.pseudonymise'"
    " AND REPLACE(e.object_id, '-', '') = REPLACE(CAST(NEW.id AS TEXT), '-', ''))"
)
triggers.immutable("person", "id_kind", "id_number", "pseudonym_act_id", unless=_LEFT)
triggers.guard(
    "person_identity",
    "person",
    "UPDATE",
    "(OLD.identity <> NEW.identity OR OLD.claims IS DISTINCT FROM NEW.claims)"
    " AND NOT (OLD.claims IS NOT NULL AND NEW.claims IS NULL AND NEW.identity = OLD.claims)"
    f" AND NOT ({_LEFT})",
    "person: a person keeps their identity; a stand-in becomes the person it claims to be",
)
triggers.guard("person_pseudonym", "person", "UPDATE", "OLD.pseudonym_act_id IS NOT NULL", "person: a pseudonym stays")
triggers.guard(
    "user_account_left",
    "user_account",
    "UPDATE",
    "OLD.state = 'disabled' AND NEW.state <> 'disabled'"
    " AND EXISTS (SELECT 1 FROM person p WHERE p.id = NEW.person_id AND p.pseudonym_act_id IS NOT NULL)",
    "user_account: its person has left for good",
)
triggers.guard("organisation_keep", "organisation", "DELETE", "", "organisation: nothing is deleted")
for _kind in (Organisation, Person):
    recorded.protect(_kind)
