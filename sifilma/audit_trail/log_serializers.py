"""Convert checkpoints, proofs and reports of the transparency log to schemas. Hashes are in standard base64, as in a checkpoint."""

from __future__ import annotations

import base64
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from sifilma.audit import proofs
from sifilma.audit.findings import Fault, Report
from sifilma.audit.models import AuditEntry, LogCheckpoint
from sifilma.audit.proofs import Inclusion
from sifilma.audit.tree import leaf_hash
from sifilma.audit_trail import queries as audit_queries
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.web.links import API


class CheckpointOut(BaseModel):
    """A checkpoint. `note` is the signed text (C2SP tlog-checkpoint); `consistency` the proof from `since`, if that was asked for.

    `cosignatures` are the lines of witnesses (C2SP tlog-cosignature), which follow the note's own; a newest checkpoint may have none yet.
    """

    id: str
    state: str = "signed"
    size: int
    root: str
    origin: str
    note: str
    cosignatures: list[str]
    at: datetime
    since: int | None = None
    consistency: list[str] | None = None
    links: dict[str, str]


class ProofOut(BaseModel):
    """An inclusion proof (RFC 6962, 2.1.1). `leaf` is hashed as UTF-8; `hashes` lead from there to the checkpoint's root."""

    id: str
    state: str = "proven"
    seq: int
    leaf: str
    leaf_hash: str
    hashes: list[str]
    checkpoint: CheckpointOut
    links: dict[str, str]


class FindingOut(BaseModel):
    """One thing that is wrong, and where."""

    fault: Fault
    text: str
    seq: int | None
    entry_id: UUID | None


class VerificationOut(BaseModel):
    """What a verification found. `more` counts, by fault, what is not listed."""

    ok: bool
    size: int
    checkpoints: int
    waiting: int
    findings: list[FindingOut]
    more: dict[str, int]


def get_proof(ctx: Context, seq: int) -> Inclusion:
    """Return the inclusion proof of an entry the actor may read. Raise NotFound for any other, Conflict while no checkpoint covers it."""
    leaf = proofs.get_leaf(ctx, seq)
    query, _ = audit_queries.list_entries(ctx, audit_queries.Wanted())
    if ctx.session.scalars(query.where(AuditEntry.id == leaf.entry_id)).first() is None:
        raise NotFound("The log has no such place.")
    return proofs.prove_inclusion(ctx, leaf)


def checkpoint_out(
    row: LogCheckpoint, cosignatures: list[str], since: int | None = None, consistency: list[bytes] | None = None
) -> CheckpointOut:
    """Return a checkpoint for the API, with a consistency proof if one is given."""
    return CheckpointOut(
        id=str(row.size),
        size=row.size,
        root=_text(row.root),
        origin=row.origin,
        note=row.note,
        cosignatures=cosignatures,
        at=row.at,
        since=since,
        consistency=None if consistency is None else list(map(_text, consistency)),
        links={"self": f"{API}/audit/checkpoint"},
    )


def proof_out(made: Inclusion, cosignatures: list[str]) -> ProofOut:
    """Return an inclusion proof for the API."""
    return ProofOut(
        id=str(made.seq),
        seq=made.seq,
        leaf=made.leaf.decode(),
        leaf_hash=_text(leaf_hash(made.leaf)),
        hashes=list(map(_text, made.hashes)),
        checkpoint=checkpoint_out(made.checkpoint, cosignatures),
        links={"self": f"{API}/audit/{made.seq}/proof"},
    )


def verification_out(report: Report) -> VerificationOut:
    """Return a verification's report for the API."""
    return VerificationOut(
        ok=report.ok,
        size=report.size,
        checkpoints=report.checkpoints,
        waiting=report.waiting,
        findings=[FindingOut(fault=f.fault, text=f.text, seq=f.seq, entry_id=f.entry_id) for f in report.findings],
        more={str(fault): count for fault, count in report.more.items()},
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
