"""What every test may ask for: real databases of both kinds, a real token. Each test process has its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hsm import HSM
from hsm.keys import ROOT_PLAN, SIGNING_PLAN
from tests.support import databases, softhsm
from tests.support.databases import Cluster, Fresh, FreshPostgres, FreshSqlite
from tests.support.softhsm import SoftHSM

STORE = pytest.StashKey[SoftHSM]()


def pytest_configure(config: pytest.Config) -> None:
    """Point SoftHSM to a folder of this process, before any test module can load the library."""
    config.stash[STORE] = softhsm.install()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove that folder."""
    softhsm.uninstall(config.stash[STORE])


@pytest.fixture(scope="session", name="softhsm")
def softhsm_store(pytestconfig: pytest.Config) -> SoftHSM:
    """This process's SoftHSM store."""
    return pytestconfig.stash[STORE]


@pytest.fixture(scope="session")
def signing_token(softhsm: SoftHSM) -> HSM:
    """A token with every key of daily work. Tests that break things make their own (`softhsm.token(label, plan)`)."""
    return softhsm.token("sifilma", SIGNING_PLAN)


@pytest.fixture(scope="session")
def root_token(softhsm: SoftHSM) -> HSM:
    """The token that signs keysets."""
    return softhsm.token("sifilma-root", ROOT_PLAN)


@pytest.fixture(scope="session")
def pg_cluster() -> Iterator[Cluster]:
    """This process's PostgreSQL server."""
    with databases.running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def fresh_postgresql(pg_cluster: Cluster) -> Fresh:
    """Makes migrated databases on this process's server."""
    return FreshPostgres(pg_cluster)


@pytest.fixture(scope="session")
def fresh_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Makes migrated SQLite databases."""
    return FreshSqlite(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(params=databases.KINDS)
def fresh_databases(request: pytest.FixtureRequest) -> Fresh:
    """Makes migrated databases; the test runs once for each kind."""
    made: Fresh = request.getfixturevalue(f"fresh_{request.param}")
    return made


@pytest.fixture
def database_url(fresh_databases: Fresh) -> Iterator[str]:
    """A fresh migrated database with the region codes; the test runs on SQLite and on PostgreSQL."""
    url = fresh_databases.make()
    yield url
    fresh_databases.remove(url)


@pytest.fixture
def sqlite_url(fresh_sqlite: Fresh) -> Iterator[str]:
    """A fresh migrated SQLite database."""
    url = fresh_sqlite.make()
    yield url
    fresh_sqlite.remove(url)


@pytest.fixture
def postgresql_url(fresh_postgresql: Fresh) -> Iterator[str]:
    """A fresh migrated PostgreSQL database."""
    url = fresh_postgresql.make()
    yield url
    fresh_postgresql.remove(url)
