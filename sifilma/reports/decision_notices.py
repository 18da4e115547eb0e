"""What somebody is told at once: what they submitted is approved, returned or rejected. Written in the transaction of that very step."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from sifilma import resources
from sifilma.activation.models import ACTIVATION_REQUEST
from sifilma.destruction.models import DESTRUCTION
from sifilma.identity.models import AccountState, User
from sifilma.kernel.context import Act
from sifilma.kernel.lifecycle import LifeCycle
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.outbox import Recipient
from sifilma.personalisation.models import PERSONALISATION
from sifilma.reports import letters
from sifilma.reports.reminders import ways_to

PURPOSE = "notice"


def register_hooks() -> None:
    """Attach them; safe to call twice."""
    for cycle, state, hook in HOOKS:
        cycle.on(state, hook)


def _tell(kind: str, state: str, session: Session, decided: Any, act: Act) -> None:
    """Write a mail to whoever submitted it, unless they did this themselves, are disabled, or want no mail."""
    if decided.submitted_by_user in (None, act.user_id):
        return
    with session.no_autoflush:
        user = session.get_one(User, decided.submitted_by_user)
        address = ways_to(resources.settings(), user).get(Channel.EMAIL) if user.state == AccountState.ACTIVE else None
    if address:
        title = decided.number if kind == DESTRUCTION.kind else decided.letter_number
        subject, text = letters.notice(resources.settings().public_url, letters.reader(user), f"{kind}_{state}", title or "", decided.id)
        session.add(outbox.written(resources.settings(), act.at, Recipient(Channel.EMAIL, address, user.id), PURPOSE, subject, text))


def _hooks(cycle: LifeCycle, *states: str) -> list[tuple[LifeCycle, str, Any]]:
    return [(cycle, state, partial(_tell, cycle.kind, state)) for state in states]


HOOKS = (
    *_hooks(PERSONALISATION, "approved", "returned", "rejected"),
    *_hooks(ACTIVATION_REQUEST, "approved", "returned", "rejected"),
    *_hooks(DESTRUCTION, "approved", "rejected"),
)
