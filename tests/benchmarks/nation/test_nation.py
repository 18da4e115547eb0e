"""A small nation: what is made set by set is what services would have made, and no page reads a large table from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import text

from hsm import HSM
from sifilma.fsck.run import Installation, Report, examine
from sifilma.kernel.db import db
from sifilma.resources import resources
from tests.benchmarks.nation.filling import fill
from tests.benchmarks.nation.installation import BEFORE
from tests.benchmarks.nation.pages import pages, people, words
from tests.benchmarks.nation.plans import LARGE, read_whole, recording
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


# --- plans -----------------------------------------------------------------------------------------------------------------

PEOPLE = ("operator", "bank", "province")
PAGES = (
    "/", "/tugas", "/kartu", "/kartu?state=active", "/kartu?text={part}", "/unit", "/unit?q={part}", "/aktivasi", "/personalisasi",
    "/bast", "/bast/kembalikan", "/manifest", "/manifest?state=active", "/manifest?soon=1", "/manifest?uid={part}", "/pemusnahan",
    "/pemusnahan/usul",
    "/cari?q={uid}", "/cari?q={part}", "/cari?q=ZZQX-NONE", "/jejak", "/jejak?action=card.report", "/aktivasi/{request}", "/kartu/{card}",
    "/unit/{unit}", "/api/v1/cards", "/api/v1/units", "/api/v1/manifests", "/api/v1/audit",
)  # fmt: skip
ROWS = 3_000_000
NOT_FLAT = {
    "/": {"unit"},  # whether there is any unit of the actor's models: nothing is read where there are no models
    "/cari?q=154": {"personalisation_request"},  # whose organisation has it in its name: until a thousand are found
    "/bast": {"handover_card"},  # all cards of the BASTs that it shows, which are most of them in a nation so small
    # In a nation so small the free units are those of one or two organisations. With a million cards an index is read.
    "/unit?state=free": {"free_unit"},
    "/aktivasi/kartu": {"free_unit"},
    "/aktivasi/kartu/mesin": {"free_unit"},
    "/personalisasi/pembeli": {"free_unit"},
    "/personalisasi/baru": {"free_unit"},
}
"""Pages whose plan has a scan all the same, with the table."""


@pytest.fixture(scope="module")
def large(nation: World) -> World:
    """The nation as the planner would see it with millions of rows: its statistics say so."""
    nation.sql("ANALYZE")
    named = ", ".join(f"'{name}'" for name in LARGE)
    # The planner multiplies the density of rows in the pages it was told of with the pages that there are.
    nation.sql(f"UPDATE pg_class SET reltuples = {ROWS}, relpages = greatest(relpages, 1) WHERE relname IN ({named}) AND relkind = 'r'")
    return nation


@pytest.mark.parametrize("kind", PEOPLE)
def test_no_page_reads_a_large_table_from_end_to_end(large: World, kind: str) -> None:
    named = words(large)
    assert _scanned(large, kind, {page: page.format(**named) for page in PAGES}) == {}


@pytest.mark.long
@pytest.mark.parametrize("kind", [*PEOPLE, "approver", "auditor", "maker", "regency"])
def test_no_page_of_all_reads_a_large_table_from_end_to_end(large: World, kind: str) -> None:
    named = words(large)
    assert _scanned(large, kind, {page: page.format(**named) for page in pages(large)}) == {}


def _scanned(world: World, kind: str, paths: dict[str, str]) -> dict[str, set[str]]:
    """Return the large tables that pages read from end to end, other than what is known."""
    client, found = world.client(people(world)[kind]), {}
    for page, path in paths.items():
        accepted = "application/json" if path.startswith("/api") else "text/html"
        with recording(world) as seen:
            client.open("GET", path, headers=client.headers | {"Accept": accepted}, buffered=True)
        if read := read_whole(world, seen) - NOT_FLAT.get(page, set()):
            found[page] = read
    return found


def test_a_scan_is_seen(large: World) -> None:
    with large.app.app_context(), recording(large) as seen, db.engine.connect() as connection:
        connection.execute(text("SELECT id FROM card WHERE kcv = 'AAAAAA'"))
        connection.execute(text("SELECT id FROM card WHERE uid = 'AAAAAA'"))
    assert read_whole(large, seen[:1]) == {"card"}
    assert read_whole(large, seen[1:]) == set()
