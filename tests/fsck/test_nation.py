"""The nation that `tests.benchmarks.nation` makes set by set is what services would have made: no invariant is broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from hsm import HSM
from sifilma.fsck.run import Installation, Report, examine
from sifilma.kernel.db import db
from sifilma.resources import resources
from tests.benchmarks.nation.filling import fill
from tests.benchmarks.nation.installation import BEFORE
from tests.support.databases import Fresh
from tests.support.world import START, World

CARDS = 60


@pytest.fixture(scope="module")
def nation(fresh_postgresql: Fresh, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield a small nation on PostgreSQL."""
    url = fresh_postgresql.make()
    with closing(World(url, tmp_path_factory.mktemp("nation"), signing_token, root_token, START - BEFORE)) as world:
        fill(world, CARDS, 1, START, _tell_nobody, 1)
        yield world
    fresh_postgresql.remove(url)


def _tell_nobody(_told: str) -> None:
    pass


def test_a_nation_breaks_no_invariant(nation: World) -> None:
    assert nation.sql("SELECT COUNT(*) FROM card")[0][0] == CARDS
    assert nation.sql("SELECT COUNT(*) FROM manifest WHERE state = 'active'")[0][0] > CARDS / 3
    report = _examined(nation)
    assert [str(finding) for finding in report.findings] == []
    assert len(report.looked_at) > 100


def test_what_is_changed_in_a_nation_is_found(nation: World) -> None:
    nation.sql("SET session_replication_role = replica; UPDATE history SET to_state = 'lost' WHERE id = (SELECT MAX(id) FROM history)")
    assert _examined(nation, "state-last-step").findings


def _examined(world: World, *only: str) -> Report:
    with world.app.app_context():
        held = resources()
        return examine(Installation(db.engine, world.settings, world.hsm, held.files, held.clock), only)
