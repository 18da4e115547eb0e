"""Register what lower packages trigger in higher ones: transition hooks, kinds of jobs and papers (docs/domain.md, rule 13).

A lower package may not import a higher one, so the application connects them once at start-up.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from manifests.keyset import KeysetRefused
from sifilma.activation import queries, unit_place
from sifilma.activation.archives.packing import Packing
from sifilma.activation.bulk import job as bulk
from sifilma.activation.manifests import revocation
from sifilma.activation.requests.service import busy_cards_query
from sifilma.activation.trust import ceremonies, keyset, status_list
from sifilma.app.chores import CHORES
from sifilma.audit import checkpoints, rounds
from sifilma.audit.models import LogFault, Standing
from sifilma.audit.witnessed import stand
from sifilma.destruction import berita_acara
from sifilma.destruction.service import proposed_cards_query
from sifilma.dispatch import contract
from sifilma.documents import numbering
from sifilma.handover import bast, returns
from sifilma.handover.discrepancies import berita_acara as discrepancy_paper
from sifilma.handover.discrepancies import service as discrepancies
from sifilma.handover.print_runs import PrintRuns
from sifilma.kernel.db import db
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.timekeeping import watch
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.oversight import region_imports
from sifilma.own_files import kinds as own_files
from sifilma.own_files.lists import Lists
from sifilma.own_files.models import FileKind
from sifilma.personalisation import refused_batches
from sifilma.personalisation.intake import job as intake
from sifilma.reports import decision_notices
from sifilma.reports.duties import service as duties
from sifilma.resources import resources
from sifilma.sign_in import authority
from sifilma.web import health, metrics
from sifilma.witness import reserved, row, standing
from sifilma.witness.standing import State


def register() -> None:
    """Attach every hook. Calling it twice is harmless."""
    watch.register_signed("checkpoint", checkpoints.newest_moment_query)
    watch.register_signed("status_list", status_list.newest_moment_query)
    watch.register_signed("manifest", queries.newest_moment_query)
    rounds.register_walk("region", region_imports.compare_codes)
    rounds.register_walk("user_account", authority.compare_versions)
    for measure in (measure_rows, measure_keys, measure_witness, measure_log):
        if measure not in metrics.MEASURES:
            metrics.MEASURES.append(measure)
    health.CHECKS["keyset"] = check_keyset
    contract.register(CHORES)
    reserved.register("keyset", ceremonies.needs)
    reserved.register("papers", numbering.needs)
    reserved.register("status lists", status_list.needs)
    revocation.register_hooks()
    unit_place.register_hooks()
    decision_notices.register_hooks(resources)
    duties.register_hooks(resources)
    bulk.register_kind()
    refused_batches.register_kind()
    own_files.register(FileKind.LIST, Lists())
    own_files.register(FileKind.MANIFESTS, Packing(resources))
    own_files.register(FileKind.PRINT, PrintRuns(resources))
    intake.register_kinds()
    discrepancies.register_hooks()
    returns.bind(busy_cards_query)
    returns.bind(proposed_cards_query)
    bast.register_paper()
    discrepancy_paper.register_paper()
    berita_acara.register_paper()


def check_keyset() -> dict[str, Any]:
    """Check that there is a keyset that may be used: the pinned root signed it, and it is as new as what was seen."""
    try:
        return {"ok": True, "version": keyset.load(resources().settings).keyset.version}
    except Unavailable as refused:
        cause = refused.__cause__
        return {"ok": False, "error": str(cause) if isinstance(cause, KeysetRefused) else type(cause or refused).__name__}


def measure_keys() -> None:
    """Set for a scrape how many days are left until signing ends. Without a usable keyset the gauge stays as it was."""
    held = resources()
    with suppress(Unavailable):
        metrics.KEY_DAYS.set((min(keyset.load(held.settings).ends().values()) - held.clock.now()) / timedelta(days=1))


def measure_witness() -> None:
    """Set for a scrape how the database stands to its witness, and what is left of each counter of the newest kind."""
    unit, now = UnitOfWork(db.sessionmaker), resources().clock.now()
    unit.begin_read()
    try:
        found = standing.of(unit.session).look(unit.session)
        since = row.untold_since(unit.session) if found.state is not State.NONE else None
        left = reserved.left(unit.session, resources().settings, now) if found.state is not State.NONE else []
    except SQLAlchemyError:
        return
    finally:
        unit.close()
    for state in State:
        metrics.WITNESS_STATE.labels(state.value).set(found.state is state)
    metrics.WITNESS_LAG.set((now - since).total_seconds() if since else 0)
    for one in left:
        metrics.NUMBERS_LEFT.labels(one.name).set(one.numbers)
        metrics.NUMBERS_DAYS.labels(one.name).set(float("inf") if one.days is None else one.days)


def measure_log() -> None:
    """Set the gauges of signing and witnessing the log for a scrape."""
    unit = UnitOfWork(db.sessionmaker)
    unit.begin_read()
    try:
        signing, witness = (stand(unit.session, part) for part in Standing)
    except SQLAlchemyError:
        return
    finally:
        unit.close()
    metrics.LOG_REFUSED.set(bool(signing.fault))
    for fault in LogFault:
        if fault:
            metrics.WITNESS_FAULT.labels(fault).set(witness.fault == fault)
    metrics.WITNESS_AGE.set((resources().clock.now() - witness.at).total_seconds() if witness.at else float("nan"))


def measure_rows() -> None:
    """Set the gauges of the comparison of rows for a scrape. Rows that were never compared have the age NaN."""
    unit = UnitOfWork(db.sessionmaker)
    unit.begin_read()
    try:
        found = rounds.state(unit.session)
    except SQLAlchemyError:
        return
    finally:
        unit.close()
    metrics.ROWS_FOUND.set(found.findings)
    age = (resources().clock.now() - found.compared_at).total_seconds() if found.compared_at else float("nan")
    metrics.ROWS_AGE.set(age)
