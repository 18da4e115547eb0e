"""Invariants of files: each is in the store as its row says, and each paper is stored as it was issued."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import and_, exists, select

from sifilma.conversation.models import KINDS
from sifilma.documents.models import Document
from sifilma.documents.rendering import FIRST
from sifilma.fsck.dialects import bare, dashed, fact
from sifilma.fsck.registry import Found, Needs, in_snapshot, outside
from sifilma.fsck.snapshot import Outside, Snapshot, broken
from sifilma.handover.bast import MOST_AT_ONCE
from sifilma.kernel.errors import Unavailable


@outside("document-file", "The file of every upload and every issued paper is there, with its SHA-256 and its size.", Needs.FILES)
def file(look: Outside) -> Found:
    """Read each file once, not from a copy on this node. No transaction is needed: rows and files never change."""
    for rows in look.batches(select(Document.id, Document.sha256, Document.size, Document.kind), Document.id):
        for row in rows:
            try:
                with look.reading() as connection:
                    data = look.files.get(connection, row.sha256, cached=False)
            except (Unavailable, ValueError) as fault:
                damaged = isinstance(fault, Unavailable) and fault.type == "file-damaged"
                yield broken("document", row.id, f"({row.kind}) has a file that is {'damaged' if damaged else 'not there'}")
                continue
            if len(data) != row.size:
                yield broken("document", row.id, f"({row.kind}) has {len(data)} bytes, its row says {row.size}")


@in_snapshot("stored-file-parts", "A stored file has its parts, and they have as many bytes as it says.")
def parts(now: Snapshot) -> Found:
    """Count parts and bytes without reading them. What they say is looked at by document-file."""
    return now.find(
        "stored_file",
        "SELECT f.sha256 AS id, f.parts, f.size, COUNT(p.place) AS there, COALESCE(SUM(length(p.data)), 0) AS bytes FROM stored_file f"
        " LEFT JOIN stored_part p ON p.sha256 = f.sha256 AND p.place < f.parts GROUP BY f.sha256, f.parts, f.size"
        " HAVING COUNT(p.place) <> f.parts OR COALESCE(SUM(length(p.data)), 0) <> f.size",
        "has {there} of {parts} parts, with {bytes} of {size} bytes",
    )


@in_snapshot(
    "stored-file-named", "Every stored file is named by a document or by a form that is kept, and what a kept form names is stored."
)
def named(now: Snapshot) -> Found:
    """Find bytes that nothing names, and kept files without bytes. Both are stored and deleted with their rows."""
    yield from now.find(
        "stored_file",
        "SELECT f.sha256 AS id FROM stored_file f WHERE NOT EXISTS (SELECT 1 FROM document d WHERE d.sha256 = f.sha256)"
        " AND NOT EXISTS (SELECT 1 FROM kept_file k WHERE k.sha256 = f.sha256)",
        "is named by nothing",
    )
    yield from now.find(
        "kept_file",
        "SELECT k.id FROM kept_file k WHERE NOT EXISTS (SELECT 1 FROM stored_file f WHERE f.sha256 = k.sha256)",
        "has no stored bytes",
    )


@in_snapshot("document-uploader", "A document was uploaded by an account of its organisation.")
def uploader(now: Snapshot) -> Found:
    """Compare the document's organisation with that of the account. Uploads with an API key, and papers of the worker, name no account."""
    document, user = bare("document"), bare("user_account")
    return now.find(
        "document",
        select(document.c.id, document.c.kind)
        .join(user, user.c.id == document.c.uploaded_by)
        .where(document.c.organisation_id.is_distinct_from(user.c.organisation_id)),
        "({kind}) was uploaded by an account of another organisation",
    )


_ISSUED = "('issued', 'executed')"
# The states in which papers are issued: the first of a handover, and the one in which a destruction is recorded.
_SINCE = (
    "SELECT MIN(y.at) FROM history y JOIN issued_paper p ON p.object_kind = y.object_kind AND p.object_id = y.object_id"
    f" WHERE y.object_kind = '{{kind}}' AND y.to_state IN {_ISSUED} AND p.template NOT LIKE '%/{FIRST}'"
)


@in_snapshot("paper-stored", "A BAST, Berita Acara or paper about a discrepancy that was issued since papers are stored has its paper.")
def stored(now: Snapshot) -> Found:
    """Leave out BASTs of many cards, which the worker makes."""
    many = f"AND (SELECT COUNT(*) FROM handover_card c WHERE c.handover_id = y.object_id) <= {MOST_AT_ONCE}"
    for kind, which in (("handover", many), ("destruction", "")):
        yield from now.find(
            kind,
            f"SELECT y.object_id AS id FROM history y WHERE y.object_kind = '{kind}' AND y.to_state IN {_ISSUED}"
            f" AND y.at >= ({_SINCE.format(kind=kind)}) {which} AND NOT EXISTS (SELECT 1 FROM issued_paper p"
            " WHERE p.object_kind = y.object_kind AND p.object_id = y.object_id)",
            "has no paper",
        )
    yield from now.find(
        "discrepancy",
        "SELECT d.handover_id AS id FROM discrepancy d WHERE NOT EXISTS (SELECT 1 FROM issued_paper p"
        " WHERE p.object_kind = 'discrepancy' AND p.object_id = d.handover_id)"
        f" AND (SELECT COUNT(*) FROM discrepancy_card m WHERE m.handover_id = d.handover_id) <= {MOST_AT_ONCE}",
        "has no paper",
    )


@in_snapshot("paper-states", "A paper belongs to a BAST or Berita Acara, and states what its digest says.")
def states(now: Snapshot) -> Found:
    """Compare the digest of the paper's record with that of its object. Its file is looked at by document-file."""
    for kind, key, digest in (
        ("handover", "id", "digest"),
        ("destruction", "id", "record_digest"),
        ("discrepancy", "handover_id", "digest"),
    ):
        yield from now.find(
            "issued_paper",
            f"SELECT p.object_id AS id FROM issued_paper p LEFT JOIN {kind} o ON o.{key} = p.object_id WHERE p.object_kind = '{kind}'"
            f" AND (o.{key} IS NULL OR o.{digest} IS NULL OR o.{digest} <> p.digest)",
            f"is of no {kind} with its digest",
        )


@in_snapshot("paper-recorded", "The file of a paper is the one that the entry of its act names.")
def recorded(now: Snapshot) -> Found:
    """Compare the SHA-256 in the record of acts, which the transparency log covers, with that of the stored file."""
    paper, document, entry = bare("issued_paper"), bare("document"), bare("audit_entry")
    acts = and_(
        entry.c.object_kind == paper.c.object_kind,
        entry.c.object_id == dashed(paper.c.object_id),
        entry.c.action.in_(("handover.issue", "destruction.record", "discrepancy.record", "paper.store")),
        fact(entry.c.data, "paper") == document.c.sha256,
    )
    query = select(paper.c.object_id.label("id")).join(document, document.c.id == paper.c.document_id).where(~exists().where(acts))
    return now.find("issued_paper", query, "is another file than the record of acts names")


@in_snapshot("change-document", "The PDF of a change of reference data is the one that its digest covers.")
def change_document(now: Snapshot) -> Found:
    """Compare the SHA-256 in the content, of which the digest is made, with that of the file."""
    change, document = bare("reference_change"), bare("document")
    query = select(change.c.id).outerjoin(document, document.c.id == change.c.document_id)
    differs = fact(change.c.content, "document").is_distinct_from(document.c.sha256)
    return now.find("reference_change", query.where(differs), "has another PDF than its content names")


@in_snapshot("message-files", "A message of a conversation is about an object that is there, and has exactly the attachments it names.")
def message_files(now: Snapshot) -> Found:
    """Compare the SHA-256s that a message names, and its act records with it, with those of its attachments in their order."""
    message, attached, document = bare("conversation_message"), bare("conversation_attachment"), bare("document")
    for kind in KINDS:
        there = exists().where(bare(kind).c.id == message.c.object_id)
        query = select(message.c.id).where(message.c.object_kind == kind, ~there)
        yield from now.find("conversation_message", query, f"is about a {kind} that is not there")
    files = select(attached.c.message_id, document.c.sha256).join(document, document.c.id == attached.c.document_id)
    kept: dict[str, list[str]] = defaultdict(list)
    for row in now.rows(files.order_by(attached.c.message_id, attached.c.position)):
        kept[str(row.message_id)].append(row.sha256)
    for row in now.rows(select(message.c.id, message.c.files)):
        if kept.get(str(row.id), []) != row.files.split():
            yield broken("conversation_message", row.id, "has other attachments than it names")
