"""The kind of file that has the BASTs of a list to be printed: volumes of some papers each in a ZIP, with an index of them all.

A volume is no paper itself: each paper stands alone, and is verified by its own file or its QR code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from uuid import UUID

from flask_babel import gettext as _
from sqlalchemy import func, select

from sifilma.documents.indonesian import WIB
from sifilma.documents.tables.writing import csv_lines, csv_parts
from sifilma.handover import bast, service
from sifilma.handover.models import Handover, HandoverState
from sifilma.handover.serializers import brief
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.db import among
from sifilma.own_files.kinds import Change, Contexts, Taken, plain
from sifilma.own_files.models import FileKind, OwnFile, Role
from sifilma.own_files.service import NewFile
from sifilma.own_files.zips import ZipPart, closed
from sifilma.resources import Resources
from sifilma.web import replays
from sifilma.web.pages import day
from sifilma.web.states import state

MOST, VOLUME = 20_000, 25
"""BASTs in one file, and in one volume of it."""
NAME, INDEX = "cetak-BAST", "index.csv"


def asked_for(number: str, wanted: str, language: str) -> NewFile:
    """Return the file of the BASTs with this part of the number and in this state (empty: all)."""
    known = wanted if wanted in list(HandoverState) else ""
    return NewFile(FileKind.PRINT, NAME, "zip", {"number": number.strip()[:60], "state": known, "language": language})


class PrintRuns:
    """The kind of files that have papers to be printed. `outside` gives the file store and the settings of the application."""

    def __init__(self, outside: Callable[[], Resources]) -> None:
        self._outside = outside

    def operation(self, file: OwnFile) -> str:
        """Return the operation of seeing BASTs."""
        return Operation.HANDOVER_VIEW

    def most(self, file: OwnFile) -> int:
        """Return how many BASTs a file has at most."""
        return MOST

    def ids(self, ctx: Context, file: OwnFile, most: int) -> Iterator[Sequence[UUID]]:
        """Yield the ids of the BASTs, in the order in which they were issued."""
        query, key = service.list_handovers(ctx, file.spec["state"] or None, file.spec["number"] or None)
        yield list(ctx.session.scalars(query.with_only_columns(key).order_by(None).order_by(key).limit(most)))

    def write(self, taken: Taken) -> None:
        """Join papers until the turn is over, a volume in a transaction. Raise Unavailable while a paper is being made."""
        while ids := taken.next_ids(VOLUME):
            name = f"cetak-{(taken.file.done + taken.done) // VOLUME + 1:04d}.pdf"
            out = ZipPart(taken.begins_at, taken.file.created_at.astimezone(WIB))
            with taken.on_behalf() as ctx:
                found = {
                    one.id: one for one in ctx.session.scalars(service.handovers_query(ctx).where(among(ctx.session, Handover.id, ids)))
                }
                handovers = [found[one] for one in ids if one in found]
                if handovers:
                    out.add(name, bast.print_file(ctx, self._outside().settings, self._outside().files, handovers))
                with replays.spoken(ctx.actor, taken.file.spec["language"]):
                    lines = csv_lines([[name, *_line(one)] for one in handovers])
            data = out.taken()
            parts = [(Role.NAMES, out.names()), (Role.INDEX, lines)] + ([(Role.BODY, data)] if data else [])
            with taken.contexts() as ctx:
                taken.store(ctx, done=len(ids), written=len(handovers), size=len(data), parts=parts)
            taken.stored(len(ids), len(data))
            if not taken.in_time:
                return

    def finish(self, taken: Taken) -> Iterator[bytes]:
        """Yield the index of the BASTs, and the end of the ZIP."""
        with taken.on_behalf() as ctx:
            actor = ctx.actor
        with replays.spoken(actor, taken.file.spec["language"]):
            heading = b"".join(csv_parts([_("Volume"), _("Number"), _("Issued"), _("From"), _("To"), _("Cards"), _("State")], ()))
        out = ZipPart(taken.file.size, taken.file.created_at.astimezone(WIB))
        with out.adding(INDEX) as index:
            index.write(heading)
            for part in taken.parts(Role.INDEX):
                index.write(part)
                yield out.taken()
        yield out.taken()
        yield from closed(out, taken.parts(Role.NAMES))

    def unseen(self, ctx: Context, file: OwnFile, groups: Iterable[Sequence[UUID]]) -> bool:
        """Return whether a BAST is out of the actor's reach by now."""
        return any(self._unseen(ctx, ids) for ids in groups)

    def _unseen(self, ctx: Context, ids: Sequence[UUID]) -> int:
        seen = service.handovers_query(ctx).where(among(ctx.session, Handover.id, ids)).with_only_columns(Handover.id).order_by(None)
        return len(ids) - (ctx.session.scalar(select(func.count()).select_from(seen.subquery())) or 0)

    def sealer(self, contexts: Contexts, file: OwnFile) -> Change:
        """Return nothing that seals: papers are stored in clear."""
        return plain

    def opener(self, contexts: Contexts) -> Change:
        """Return the same."""
        return plain


def _line(handover: Handover) -> list[object]:
    of = brief(handover)
    return [of.number, day(of.issued_at), of.issuer["name"], of.receiver["name"], of.count, str(state(of.state).name)]
