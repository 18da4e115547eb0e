"""Register what lower packages trigger in higher ones: transition hooks, kinds of jobs and papers (docs/domain.md, rule 13).

A lower package may not import a higher one, so the application connects them once at start-up.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from sifilma.activation import queries, unit_place
from sifilma.activation.bulk import job as bulk
from sifilma.activation.manifests import revocation
from sifilma.activation.requests.service import busy_cards_query
from sifilma.activation.trust import keyset, status_list
from sifilma.app.chores import CHORES
from sifilma.audit import checkpoints, rounds
from sifilma.destruction import berita_acara
from sifilma.destruction.service import proposed_cards_query
from sifilma.dispatch import contract
from sifilma.handover import bast, returns
from sifilma.handover.discrepancies import berita_acara as discrepancy_paper
from sifilma.handover.discrepancies import service as discrepancies
from sifilma.kernel.db import db
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.timekeeping import watch
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.oversight import region_imports
from sifilma.personalisation import refused_batches
from sifilma.personalisation.intake import job as intake
from sifilma.reports import decision_notices
from sifilma.reports.duties import service as duties
from sifilma.resources import resources
from sifilma.sign_in import authority
from sifilma.web import metrics


def register() -> None:
    """Attach every hook. Calling it twice is harmless."""
    watch.register_signed("checkpoint", checkpoints.newest_moment_query)
    watch.register_signed("status_list", status_list.newest_moment_query)
    watch.register_signed("manifest", queries.newest_moment_query)
    rounds.register_walk("region", region_imports.compare_codes)
    rounds.register_walk("user_account", authority.compare_versions)
    for measure in (measure_rows, measure_keys):
        if measure not in metrics.MEASURES:
            metrics.MEASURES.append(measure)
    contract.register(CHORES)
    revocation.register_hooks()
    unit_place.register_hooks()
    decision_notices.register_hooks(resources)
    duties.register_hooks(resources)
    bulk.register_kind()
    refused_batches.register_kind()
    intake.register_kinds()
    discrepancies.register_hooks()
    returns.bind(busy_cards_query)
    returns.bind(proposed_cards_query)
    bast.register_paper()
    discrepancy_paper.register_paper()
    berita_acara.register_paper()


def measure_keys() -> None:
    """Set for a scrape how many days are left until signing ends. Without a usable keyset the gauge stays as it was."""
    held = resources()
    with suppress(Unavailable):
        metrics.KEY_DAYS.set((min(keyset.load(held.settings).ends().values()) - held.clock.now()) / timedelta(days=1))


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
