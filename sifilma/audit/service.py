"""Record acts. Entry and act are one transaction: if the entry cannot be written, the act does not happen."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.orm import Session

from sifilma.audit import recorded
from sifilma.audit.models import Action, AuditEntry, RowDigest
from sifilma.audit.recorded import RecordedOnce
from sifilma.kernel.context import Act, Context
from sifilma.kernel.ids import uuid7

SALT_BYTES = 16
_ENTRY = insert(AuditEntry.__table__)  # type: ignore[arg-type]  # a declarative class's table is a Table


def record(
    ctx: Context,
    action: Action,
    object_kind: str,
    object_id: UUID | str,
    *,
    organisation_id: UUID | None = None,
    rows: Sequence[RecordedOnce] = (),
    **data: Any,
) -> Act:
    """Write the entry of an act in the act's transaction. Return the Act, which every state change that follows must name.

    `organisation_id` is the organisation concerned (by default the actor's). `data` must be JSON and free of secrets. `rows` are those
    that the act makes or changes and that acts rest on, as they shall be; they are flushed after this call (`recorded`).
    """
    values = entry_values(ctx, action, object_kind, object_id, organisation_id, data)
    if not rows:
        ctx.session.execute(insert(AuditEntry), values)
        return Act(values["id"], values["at"], ctx.actor.user_id)
    facts, digests = recorded.keep(rows, values["salt"], values["id"])
    with ctx.session.no_autoflush:  # triggers want the digests before the rows, and those name the entry
        ctx.session.execute(insert(AuditEntry), values | {"data": data | facts})
        ctx.session.execute(insert(RowDigest), digests)
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
    session.execute(_ENTRY, values)  # of Core: refusals are many, and the ORM's own insert takes twice as long
    return Act(values["id"], values["at"], ctx.actor.user_id)


def entry_values(
    ctx: Context, action: Action, object_kind: str, object_id: UUID | str, organisation_id: UUID | None, data: dict[str, Any]
) -> dict[str, Any]:
    """Return the columns of one entry, for callers that send several statements together (`kernel.statements.prepared.run_all`)."""
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
