"""Long lists as files: what the list's own page shows, to whoever asked, row by row."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from sifilma.dispatch.turns import Barred
from sifilma.documents.list_views import Asked
from sifilma.documents.lists import EXPORTED_ROWS
from sifilma.documents.tables.writing import csv_lines, csv_parts, xlsx_parts
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel import paging
from sifilma.kernel.actor import Actor
from sifilma.kernel.context import Context
from sifilma.kernel.db import among
from sifilma.kernel.errors import NotFound
from sifilma.own_files.kinds import IDS_A_PART, Change, Contexts, Taken, is_granted, plain
from sifilma.own_files.models import FileKind, OwnFile, Role
from sifilma.own_files.service import NewFile
from sifilma.web import replays

ROWS = 500
"""Rows that are read together."""
FULL = 4 * 1024 * 1024
"""Bytes of rows that are kept before they are stored."""


def asked_for(asked: Asked, address: str, form: str, language: str) -> NewFile:
    """Return the file of a list that a page has under this address."""
    return NewFile(FileKind.LIST, asked.export.name, form, {"address": address, "language": language})


def admit(actor: Actor, operation: str) -> None:
    """Raise Barred unless the actor may do what a page is for."""
    if not is_granted(grants(actor, Operation(operation)), operation, actor.user_id):
        raise Barred


def opened(actor: Actor, address: str, language: str) -> AbstractContextManager[Asked]:
    """Give the list of a page as this actor has it. Raise NotFound for an address of no list, Barred for one that they may not see."""
    return replays.opened(actor, address, language, partial(admit, actor))


class Lists:
    """The kind of files that have the rows of a list."""

    def operation(self, file: OwnFile) -> str:
        """Return the operation of the list's page."""
        return replays.operation_of(file.spec["address"])

    def most(self, file: OwnFile) -> int:
        """Return how many rows a file of this form has at most."""
        return EXPORTED_ROWS[file.form]

    def ids(self, ctx: Context, file: OwnFile, most: int) -> Iterator[Sequence[UUID]]:
        """Yield the ids of the list's rows in its order."""
        with _page(ctx, file, file.spec["address"]) as asked:
            query, key = asked.listing
            asked.begin_snapshot()
            ordered = paging.ordered(query.with_only_columns(key), key, asked.order).limit(most)
            with closing(asked.session.scalars(ordered.execution_options(yield_per=IDS_A_PART))) as rows:
                yield from rows.partitions()

    def write(self, taken: Taken) -> None:
        """Write rows until the turn is over, then store them."""
        lines: list[list[object]] = []
        parts: list[bytes] = []
        looked = written = 0
        with taken.on_behalf() as ctx, _page(ctx, taken.file, taken.file.spec["address"]) as asked:
            if taken.begins_at == 0 and taken.file.form == "csv":
                parts.append(b"".join(csv_parts(_header(asked), ())))
            while ids := taken.next_ids(ROWS, looked):
                lines = _lines(asked, ids)
                looked, written = looked + len(ids), written + len(lines)
                parts.append(csv_lines(lines) if taken.file.form == "csv" else _packed(lines))
                if not taken.in_time or sum(map(len, parts)) > FULL:
                    break
        data = b"".join(parts)
        is_csv = taken.file.form == "csv"
        size = len(data) if is_csv else 0
        stored = [(Role.BODY, data)] if is_csv else [(Role.ROWS, part) for part in parts]
        with taken.contexts() as ctx:
            taken.store(ctx, done=looked, written=written, size=size, parts=stored)
        taken.stored(looked, size)

    def finish(self, taken: Taken) -> Iterator[bytes]:
        """Yield the last row of a CSV that is cut; an XLSX as a whole, since it begins with what is known at its end."""
        file = taken.file
        with taken.on_behalf() as ctx, _page(ctx, file, file.spec["address"]) as asked:
            header, name = _header(asked), asked.export.name
            cut = [[asked.goes_on(self.most(file))]] if file.cut else []
        if file.form == "csv":
            empty = b"".join(csv_parts(header, ())) if file.size == 0 else b""
            yield empty + csv_lines(cut)
        else:
            yield from xlsx_parts(header, _all(taken, cut), name)

    def unseen(self, ctx: Context, file: OwnFile, groups: Iterable[Sequence[UUID]]) -> bool:
        """Return whether the page, without its filters, does not show the actor a row that is still there."""
        try:
            with _page(ctx, file, file.spec["address"]) as asked:
                narrowing = {name for name, usual in asked.export.filters.items() if not usual}
            with _page(ctx, file, replays.without(file.spec["address"], narrowing)) as asked:
                return any(_unseen(asked, ids) for ids in groups)
        except (Barred, NotFound):
            return bool(file.total)

    def sealer(self, contexts: Contexts, file: OwnFile) -> Change:
        """Return nothing that seals: lists show what the database has in clear."""
        return plain

    def opener(self, contexts: Contexts) -> Change:
        """Return the same."""
        return plain


def _page(ctx: Context, file: OwnFile, address: str) -> AbstractContextManager[Asked]:
    return opened(ctx.actor, address, file.spec["language"])


def _unseen(asked: Asked, ids: Sequence[UUID]) -> int:
    query, key = asked.listing
    shown = query.with_only_columns(key).order_by(None).where(among(asked.session, key, ids)).subquery()
    there = select(func.count()).select_from(key.class_).where(among(asked.session, key, ids))
    seen = select(func.count(func.distinct(shown.c[0])))
    return int(asked.session.scalar(there) or 0) - int(asked.session.scalar(seen) or 0)


def _header(asked: Asked) -> list[str]:
    return [str(name) for name in asked.export.columns]


def _lines(asked: Asked, ids: Sequence[UUID]) -> list[list[object]]:
    """Return the rows of these ids that the actor sees, in this order."""
    query, key = asked.listing
    asked.session.expunge_all()  # those of before are written
    found = {getattr(item, key.key): item for item in asked.session.scalars(query.where(among(asked.session, key, ids)))}
    items = [found[one] for one in ids if one in found]
    return [[_plain(column(item)) for column in asked.export.columns.values()] for item in asked.show(items)]


def _plain(cell: object) -> object:
    return cell if isinstance(cell, int | float) and not isinstance(cell, bool) else "" if cell is None else str(cell)


def _packed(lines: Sequence[Sequence[object]]) -> bytes:
    return zlib.compress(json.dumps(lines, ensure_ascii=False).encode(), 1)


def _all(taken: Taken, last: Sequence[Sequence[object]]) -> Iterator[Sequence[Any]]:
    for part in taken.parts(Role.ROWS):
        yield from json.loads(zlib.decompress(part))
    yield from last
