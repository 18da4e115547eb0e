"""Which files an actor has, and which the worker has to write. Nobody sees the files of another."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, select

from sifilma.dispatch.contract import FILES
from sifilma.dispatch.models import WorkRun
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing
from sifilma.own_files.models import OPEN, OwnFile


def files_query(ctx: Context) -> Select[OwnFile]:
    """Return a query of the actor's own files."""
    return select(OwnFile).where(OwnFile.asked_by == (ctx.actor.user_id or ctx.actor.api_key_id))


def list_files(ctx: Context, state: str = "") -> Listing[OwnFile]:
    """Return the actor's files, of one state if it is given."""
    query = files_query(ctx)
    return (query.where(OwnFile.state == state) if state else query), OwnFile.id


def get_file(ctx: Context, file_id: UUID) -> OwnFile:
    """Return a file of the actor. Raise NotFound for any other."""
    found = ctx.session.scalars(files_query(ctx).where(OwnFile.id == file_id)).first()
    if found is None:
        raise NotFound()
    return found


def waiting_query() -> Select[UUID, UUID]:
    """Return a query of the files that are to be written, with their organisations: that with the fewest turns first."""
    return select(OwnFile.id, OwnFile.organisation_id).where(OwnFile.state.in_(OPEN)).order_by(OwnFile.served, OwnFile.id)


def troubles_of(ctx: Context, files: Sequence[OwnFile]) -> dict[UUID, WorkRun]:
    """Return what is noted of failed turns of files, by their ids. Of a file whose turns did not fail there is nothing."""
    noted = select(WorkRun).where(WorkRun.chore == FILES, WorkRun.subject.in_([str(file.id) for file in files]))
    return {UUID(run.subject): run for run in ctx.session.scalars(noted)}


def is_paused(ctx: Context) -> bool:
    """Return whether operators have paused the writing of files."""
    run = ctx.session.get(WorkRun, (FILES, ""))
    return run is not None and run.paused_at is not None
