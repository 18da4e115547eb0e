"""Which manifests an archive is of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from sifilma.activation.models import Activation, Manifest
from sifilma.activation.queries import get_request, list_manifests, manifests_query
from sifilma.activation.schemas import ArchiveIn
from sifilma.jobs.models import JobRow
from sifilma.jobs.service import get_job
from sifilma.kernel.context import Context


def of_request_query(ctx: Context, request_id: UUID) -> Select[Manifest]:
    """Return a query of the manifests that an activation request gave. Raise NotFound outside the actor's scope."""
    made = select(Activation.id).where(Activation.activation_request_id == get_request(ctx, request_id).id)
    return manifests_query(ctx).where(Manifest.activation_id.in_(made))


def of_job_query(ctx: Context, job_id: UUID) -> Select[Manifest]:
    """Return a query of the manifests that a job gave. Raise NotFound outside the actor's scope."""
    made = select(JobRow.result_id).where(JobRow.job_id == get_job(ctx, job_id).id, JobRow.result_id.is_not(None))
    return manifests_query(ctx).where(Manifest.activation_id.in_(made))


SOON = timedelta(days=90)
"""Manifests that end by then are said to end soon."""


def wanted_query(ctx: Context, wanted: Mapping[str, Any]) -> Select[Manifest]:
    """Return a query of the manifests that fulfil all that is stated, as texts: the fields of ArchiveIn, and those of the list's page.

    Those are `uid` (a part of it) and `soon`. Raise NotFound as below.
    """
    key = {name: UUID(value) for name in ("activation_request", "job") if (value := wanted.get(name))}
    query = archived_query(ctx, ArchiveIn(sam_uid=wanted.get("sam_uid"), state=wanted.get("state"), **key))
    before = ctx.now + SOON if wanted.get("soon") else None
    if wanted.get("uid") or before:
        narrowed, _ = list_manifests(ctx, None, None, part=wanted.get("uid", ""), ends_before=before)
        query = query.where(Manifest.id.in_(narrowed.with_only_columns(Manifest.id)))
    return query


def archived_query(ctx: Context, wanted: ArchiveIn) -> Select[Manifest]:
    """Return a query of the manifests that fulfil all that is stated. Raise NotFound as above."""
    query, _ = list_manifests(ctx, wanted.state, wanted.sam_uid)
    if wanted.activation_request:
        query = query.where(Manifest.id.in_(of_request_query(ctx, wanted.activation_request).with_only_columns(Manifest.id)))
    if wanted.job:
        query = query.where(Manifest.id.in_(of_job_query(ctx, wanted.job).with_only_columns(Manifest.id)))
    return query
