"""The routes of the audit entries, and of checkpoints and proofs of the transparency log."""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from sifilma.activation.trust import keyset
from sifilma.api.common import ListQuery, Page, answer, blueprint, page_of
from sifilma.audit import checkpoints, proofs, verification
from sifilma.audit.witnessed import lines_under
from sifilma.audit_trail import log_serializers
from sifilma.audit_trail import queries as audit_queries
from sifilma.audit_trail.log_serializers import CheckpointOut, ProofOut, VerificationOut
from sifilma.audit_trail.queries import EntryOut, FailedRequestOut, Wanted
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("audit")
LONGEST = 2**53 - 1


class AuditQuery(ListQuery):
    """A page of entries, by object or act."""

    object: str | None = Field(None, max_length=64, description="id of the object")
    action: str | None = Field(None, max_length=40)


class FailureQuery(ListQuery):
    """A page of failed requests, by the number that the answer stated."""

    request_id: str | None = Field(None, max_length=64, description="`request_id` of a problem document, or the number on an error page")
    username: str | None = Field(None, max_length=60)


class PlacePath(BaseModel):
    """A place in the log, counted from 0."""

    seq: int = Field(ge=0, le=LONGEST)


class CheckpointQuery(BaseModel):
    """The size from which a consistency proof is requested (RFC 6962, section 2.1.2)."""

    model_config = ConfigDict(extra="forbid")

    since: int | None = Field(None, ge=1, le=LONGEST, description="size of an earlier checkpoint: asks for the consistency proof")


class VerificationQuery(BaseModel):
    """The number of newest entries to verify. `sifilma audit verify` verifies all."""

    model_config = ConfigDict(extra="forbid")

    newest: int = Field(1000, ge=1, le=10_000, description="how many entries, from the end")


@api.get("/audit", responses={200: Page[EntryOut]}, summary="What was done")
@operation("audit.read")
def list_entries(query: AuditQuery) -> Response:
    """Newest first."""
    ctx = context()
    select, key = audit_queries.list_entries(ctx, Wanted(query.object or "", query.action or ""))
    return page_of(select, key, query, lambda rows: audit_queries.entries_out(ctx, rows))


@api.get("/failed-requests", responses={200: Page[FailedRequestOut]}, summary="Requests that were answered by an error")
@operation("failure.see")
def list_failures(query: FailureQuery) -> Response:
    """Newest first. Nothing that was sent is kept; what is older than SIFILMA_KEEP_FAILED_REQUESTS_DAYS is deleted."""
    select, key = audit_queries.list_failures(context(), query.request_id or "", query.username or "")
    return page_of(select, key, query, audit_queries.failures_out)


@api.get("/audit/checkpoint", responses={200: CheckpointOut}, summary="The newest checkpoint of the log")
@operation("audit.read")
def show_checkpoint(query: CheckpointQuery) -> Response:
    """Size and root, signed; with `since` the proof that the log of that size is its beginning."""
    ctx = context()
    found = checkpoints.get_newest(ctx.session)
    consistency = None if query.since is None else proofs.prove_consistency(ctx, query.since, found)
    return answer(log_serializers.checkpoint_out(found, lines_under(ctx.session, found.size), query.since, consistency))


@api.get("/audit/<int:seq>/proof", responses={200: ProofOut}, summary="The proof that an entry is in the log")
@operation("audit.read")
def prove(path: PlacePath) -> Response:
    """Against the newest checkpoint."""
    ctx = context()
    made = log_serializers.get_proof(ctx, path.seq)
    return answer(log_serializers.proof_out(made, lines_under(ctx.session, made.checkpoint.size)))


@api.get("/audit/verification", responses={200: VerificationOut}, summary="Verify the end of the log")
@operation("audit.verify")
def verify(query: VerificationQuery) -> Response:
    """Entries against leaves, leaves against checkpoints; the newest ones only, so that it ends within a request."""
    settings = resources().settings
    report = verification.verify(context(), keyset.load(settings).keys("audit"), checkpoints.kept_note(settings), query.newest)
    return answer(log_serializers.verification_out(report))
