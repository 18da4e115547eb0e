"""The record of acts. The tree over it is checked by `sifilma.audit.verification`: its invariant belongs in this module."""

from __future__ import annotations

from sifilma.audit.models import Action
from sifilma.fsck.looking import Snapshot
from sifilma.fsck.registry import Found, in_snapshot

_ACTIONS = ", ".join(f"'{action}'" for action in Action)


@in_snapshot("audit-action", "Every audit entry is of an action that exists, about something.")
def action(now: Snapshot) -> Found:
    """The list of actions is closed."""
    return now.find(
        "audit_entry",
        f"SELECT id, action FROM audit_entry WHERE action NOT IN ({_ACTIONS}) OR object_kind = '' OR object_id = ''",
        "is of the action {action}, which does not exist, or about nothing",
    )


@in_snapshot("audit-person", "An audit entry names the person its account belongs to.")
def person(now: Snapshot) -> Found:
    """Who acted is a person, whatever the account."""
    return now.find(
        "audit_entry",
        "SELECT e.id FROM audit_entry e LEFT JOIN user_account u ON u.id = e.user_id WHERE e.user_id IS NOT NULL"
        " AND (u.id IS NULL OR e.person_id IS DISTINCT FROM u.person_id)",
        "names an account and a person that do not belong together",
    )
