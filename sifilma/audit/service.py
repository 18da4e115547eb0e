"""Record acts. Entry and act are one transaction: if the entry cannot be written, the act does not happen."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.orm import Session

from sifilma.audit.models import Action, AuditEntry
from sifilma.kernel.context import Act, Context
from sifilma.kernel.ids import uuid7

SALT_BYTES = 16


def record(
    ctx: Context, action: Action, object_kind: str, object_id: UUID | str, *, organisation_id: UUID | None = None, **data: Any
) -> Act:
    """Write the entry of an act in the act's transaction. Return the Act, which every state change that follows must name.

    `organisation_id` is the organisation concerned (by default the actor's). `data` must be JSON and free of secrets.
    """
    values = entry_values(ctx, action, object_kind, object_id, organisation_id, data)
    ctx.session.execute(insert(AuditEntry), values)
    return Act(values["id"], values["at"], ctx.actor.user_id)


def record_in(
    session: Session,
    ctx: Context,
    action: Action,
    object_kind: str,
    object_id: UUID | str,
    *,
    organisation_id: UUID | None = None,
    **data: Any,
) -> Act:
    """The same in another session: for refusals that outlive the rollback (`uow.separately`)."""
    values = entry_values(ctx, action, object_kind, object_id, organisation_id, data)
    session.execute(insert(AuditEntry), values)
    return Act(values["id"], values["at"], ctx.actor.user_id)


def entry_values(
    ctx: Context, action: Action, object_kind: str, object_id: UUID | str, organisation_id: UUID | None, data: dict[str, Any]
) -> dict[str, Any]:
    """Return the columns of one entry, for callers that send several statements together (`kernel.prepared.run_all`)."""
    actor = ctx.actor
    return {
        "id": uuid7(),
        "at": ctx.now,
        "action": str(action),
        "user_id": actor.user_id,
        "person_id": actor.person_id,
        "api_key_id": actor.api_key_id,
        "organisation_id": organisation_id or actor.organisation_id,
        "object_kind": object_kind,
        "object_id": str(object_id),
        "request_id": ctx.request_id,
        "ip": actor.ip,
        "data": data,
        "salt": secrets.token_bytes(SALT_BYTES),
    }
