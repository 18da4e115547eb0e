"""Invariants of the audit entries and of the log over them."""

from __future__ import annotations

from sqlalchemy import or_, select

from sifilma.activation.trust import keyset
from sifilma.audit import checkpoints
from sifilma.audit.models import Action
from sifilma.audit.verification import verify
from sifilma.fsck.dialects import bare
from sifilma.fsck.registry import Found, Needs, in_snapshot, outside
from sifilma.fsck.snapshot import Broken, Outside, Snapshot

_ACTIONS = ", ".join(f"'{action}'" for action in Action)


@in_snapshot("audit-action", "Every audit entry is of an action that exists, about something.")
def action(now: Snapshot) -> Found:
    """Check the action against the closed list."""
    return now.find(
        "audit_entry",
        f"SELECT id, action FROM audit_entry WHERE action NOT IN ({_ACTIONS}) OR object_kind = '' OR object_id = ''",
        "is of the action {action}, which does not exist, or about nothing",
    )


@in_snapshot("audit-person", "An audit entry names the person its account belongs to.")
def person(now: Snapshot) -> Found:
    """Compare the person of each entry with that of its account."""
    entry, user = bare("audit_entry"), bare("user_account")
    return now.find(
        "audit_entry",
        select(entry.c.id)
        .outerjoin(user, user.c.id == entry.c.user_id)
        .where(entry.c.user_id.is_not(None), or_(user.c.id.is_(None), entry.c.person_id.is_distinct_from(user.c.person_id))),
        "names an account and a person that do not belong together",
    )


@outside("log-tree", "The log's tree rebuilds to every signed checkpoint, and every entry is in it or waits for it.", Needs.FILES)
def tree(now: Outside) -> Found:
    """Do the same as `sifilma audit verify`. The checkpoint in the file is read first, because the log may grow meanwhile."""
    kept = checkpoints.kept_note(now.settings)
    with now.context() as ctx:
        report = verify(ctx, keyset.load(now.settings).keys("audit"), kept, in_one=True)
    for found in report.findings:
        yield Broken("log", str(found.fault), found.text)
    for fault, count in report.more.items():
        yield Broken("log", str(fault), f"and {count} more")
