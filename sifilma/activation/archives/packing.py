"""The kind of file that holds many manifests: the worker packs them some hundreds at a time, each recorded as a download of its own.

What is packed is sealed in the database as the manifests are: under the data key of the organisation, which only the HSM opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import and_, func, or_, select

from sifilma.activation.archives import pages, service
from sifilma.activation.archives.queries import wanted_query
from sifilma.activation.models import DataKey, Manifest, ManifestState
from sifilma.activation.tokens import sealing
from sifilma.documents.indonesian import WIB
from sifilma.documents.tables.writing import csv_lines, csv_parts
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.db import among
from sifilma.own_files.kinds import Change, Contexts, Taken
from sifilma.own_files.models import FileKind, OwnFile, Role
from sifilma.own_files.service import NewFile
from sifilma.own_files.zips import ZipPart, closed
from sifilma.resources import Resources
from sifilma.web import replays

MOST = 200_000
"""Manifests in one file."""
AT_ONCE = 200
"""Manifests that are packed in one transaction."""
NAME = "manifest"
_SEALED = b"own-file"
_KEY = 16
"""Bytes of the id of the data key, before a sealed part."""


def asked_for(wanted: dict[str, Any], language: str) -> NewFile:
    """Return the file of the manifests that fulfil all that is stated (`wanted_query`)."""
    stated = {name: str(value) for name, value in wanted.items() if value}
    return NewFile(FileKind.MANIFESTS, NAME, "zip", {"wanted": stated, "language": language})


class Packing:
    """The kind of files that hold manifests. `outside` gives the HSM and the settings of the application."""

    def __init__(self, outside: Callable[[], Resources]) -> None:
        self._outside = outside

    def operation(self, file: OwnFile) -> str:
        """Return the operation of taking manifests."""
        return Operation.MANIFEST_BODY

    def most(self, file: OwnFile) -> int:
        """Return how many manifests a file has at most."""
        return MOST

    def ids(self, ctx: Context, file: OwnFile, most: int) -> Iterator[Sequence[UUID]]:
        """Yield the ids of the manifests, in the order in which they were issued."""
        wanted = service.given_out_query(ctx, wanted_query(ctx, file.spec["wanted"])).with_only_columns(Manifest.id)
        yield list(ctx.session.scalars(wanted.order_by(Manifest.id).limit(most)))

    def write(self, taken: Taken) -> None:
        """Pack manifests until the turn is over, AT_ONCE in a transaction, with the records of their downloads."""
        seal = self.sealer(taken.contexts, taken.file)
        while ids := taken.next_ids(AT_ONCE):
            size = self._pack(taken, ids, seal)
            taken.stored(len(ids), size)
            if not taken.in_time:
                return

    def _pack(self, taken: Taken, ids: Sequence[UUID], seal: Change) -> int:
        with taken.on_behalf() as ctx:
            archive = service.record_downloads(ctx, self._outside().hsm, select(Manifest).where(among(ctx.session, Manifest.id, ids)))
            out = ZipPart(taken.begins_at, taken.file.created_at.astimezone(WIB))
            entries = service.write_all(ctx, archive, out)
            with replays.spoken(ctx.actor, taken.file.spec["language"]):
                lines = csv_lines([pages.line(entry) for entry in entries])
            data = out.taken()
            parts = [(Role.NAMES, seal(out.names())), (Role.INDEX, seal(lines))]
            if data:
                parts.append((Role.BODY, seal(data)))
            taken.store(ctx, done=len(ids), written=len(archive.packed), size=len(data), parts=parts)
            return len(data)

    def finish(self, taken: Taken) -> Iterator[bytes]:
        """Yield the index of the manifests, the note, and the end of the ZIP."""
        file, opened = taken.file, self.opener(taken.contexts)
        with taken.on_behalf() as ctx:
            actor, now = ctx.actor, ctx.now
        with replays.spoken(actor, file.spec["language"]):
            heading = b"".join(csv_parts(pages.header(), ()))
            note = pages.read_first(self._outside().settings, file.written, file.total or 0, now).encode()
        out = ZipPart(file.size, file.created_at.astimezone(WIB))
        with out.adding(pages.INDEX) as index:
            index.write(heading)
            for part in taken.parts(Role.INDEX):
                index.write(opened(part))
                yield out.taken()
        out.add(pages.READ_FIRST, note)
        yield out.taken()
        yield from closed(out, map(opened, taken.parts(Role.NAMES)))

    def unseen(self, ctx: Context, file: OwnFile, groups: Iterable[Sequence[UUID]]) -> bool:
        """Return whether one is out of reach, or was packed and does not count any more."""
        return any(self._unseen(ctx, file, ids) for ids in groups)

    def _unseen(self, ctx: Context, file: OwnFile, ids: Sequence[UUID]) -> int:
        these = select(Manifest).where(among(ctx.session, Manifest.id, ids))
        mine = service.given_out_query(ctx, these)
        ended = and_(Manifest.state != ManifestState.ACTIVE, Manifest.changed_at >= file.created_at)
        bad = or_(ended, Manifest.id.not_in(mine.with_only_columns(Manifest.id)))
        return ctx.session.scalar(select(func.count()).select_from(these.where(bad).subquery())) or 0

    def sealer(self, contexts: Contexts, file: OwnFile) -> Change:
        """Return what seals with the organisation's data key of this month."""
        hsm = self._outside().hsm
        with contexts() as ctx:
            ctx.uow.begin_read()
            data_key = sealing.ensure_key(ctx, hsm, file.organisation_id)
        key = sealing.unwrap(hsm, data_key)
        return lambda data: data_key.id.bytes + sealing.seal(key, data, _SEALED, data_key.id)

    def opener(self, contexts: Contexts) -> Change:
        """Return what opens with the key that a part names."""
        keys: dict[UUID, AESGCM] = {}

        def opened(data: bytes) -> bytes:
            key_id = UUID(bytes=data[:_KEY])
            if key_id not in keys:
                with contexts() as ctx:
                    ctx.uow.begin_read()
                    found = ctx.session.get_one(DataKey, key_id)
                    ctx.uow.end_read()
                keys[key_id] = sealing.unwrap(self._outside().hsm, found)
            return sealing.open_sealed(keys[key_id], data[_KEY:], _SEALED, key_id)

        return opened
