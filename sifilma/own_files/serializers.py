"""Convert files that were asked for to what the API and the pages show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sifilma.dispatch.models import WorkRun
from sifilma.kernel.context import Context
from sifilma.kernel.timekeeping.stops import is_worked
from sifilma.own_files.kinds import KINDS
from sifilma.own_files.models import OPEN, FileState, OwnFile
from sifilma.own_files.queries import get_file, is_paused, troubles_of
from sifilma.own_files.schemas import OwnFileOut
from sifilma.web.links import links


@dataclass(frozen=True)
class FilePage:
    """A file for its page: whether it is still written, what keeps it, and the operation for which a code is asked at the download.

    `failures` counts the turns that failed one after the other; `gave_up_at` is when it was given up.
    """

    file: OwnFile
    going: bool
    ready: bool
    worked: bool
    paused: bool
    failures: int
    gave_up_at: datetime | None
    operation: str


def file_page(ctx: Context, file_id: UUID) -> FilePage:
    """Return a file of the actor. Raise NotFound for any other."""
    file = get_file(ctx, file_id)
    going, trouble = file.state in OPEN, troubles_of(ctx, [file]).get(file.id)
    is_here = file.state == FileState.READY and file.ends_at is not None and file.ends_at > ctx.now
    return FilePage(
        file, going, is_here, is_worked(ctx), is_paused(ctx), trouble.failures if trouble else 0, trouble.gave_up_at if trouble else None,
        KINDS[file.kind].operation(file),
    )  # fmt: skip


def file_out(ctx: Context, file: OwnFile) -> OwnFileOut:
    """Return a file for the API."""
    return files_out(ctx, [file])[0]


def files_out(ctx: Context, files: Sequence[OwnFile]) -> list[OwnFileOut]:
    """Return files for the API. What is asked besides is asked once for all."""
    troubles, worked = troubles_of(ctx, files), is_worked(ctx)
    return [_out(file, troubles.get(file.id), worked) for file in files]


def _out(file: OwnFile, trouble: WorkRun | None, worked: bool) -> OwnFileOut:
    going = file.state in OPEN
    ways = {"download": "download"} if file.state == FileState.READY else {}
    if going or ways:
        ways["cancel"] = "cancel"
    return OwnFileOut(
        id=file.id, kind=file.kind, state=file.state, filename=file.filename, total=file.total, done=file.done, written=file.written,
        cut=file.cut, size=file.size, sha256=file.sha256 or None, rows_per_second=file.rate if going else None,
        seconds_left=file.seconds_left, worked=worked, failures=trouble.failures if trouble else 0, note=file.change_note,
        created_at=file.created_at, ended_at=file.ended_at, ends_at=file.ends_at, links=links("files", file.id, **ways),
    )  # fmt: skip
