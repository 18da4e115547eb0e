"""Fixtures for every test: real databases of both kinds and real tokens. Each test process has its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from hsm import HSM
from hsm.keys import ROOT_PLAN, SIGNING_PLAN
from sifilma.kernel.unit_of_work import assert_no_transaction
from sifilma.sign_in import passwords
from tests.access.crowd import Crowd
from tests.support import databases, softhsm
from tests.support.browser import WIDTHS
from tests.support.databases import Cluster, Fresh, FreshPostgres, FreshSqlite
from tests.support.prefabs import Prefabs
from tests.support.softhsm import SoftHSM
from tests.support.world import World

TESTS = Path(__file__).resolve().parent
SLOW = (
    *("life", "access", "api", "browser", "fsck", "demo", "test_lint.py", "commands"),
    *("reports", "schema", "faults", "activation", "chaos", "jobs", "audit"),
)
"""Folders of tests with slow files, and slow files beside them, the slowest file first."""
STORE = pytest.StashKey[SoftHSM]()
TOGETHER = {
    "tests/fsck/test_plants.py": "fsck",
    "tests/fsck/test_sound.py": "fsck",
    "tests/access/test_access.py": "crowd",
    "tests/access/test_planted.py": "crowd",
    "tests/api/test_conformance.py": "crowd",
    "tests/access/test_pages.py": "browser",
} | {f"tests/browser/{file.name}": "browser" for file in (TESTS / "browser").glob("test_*.py")}
"""Files that one test process runs, one after the other: they share what is made once in a process and takes long.

Those with a browser share what axe has judged: most pages of the journeys have the outline of a page of `tests/access`.
"""


class Sharing(LoadFileScheduling):  # type: ignore[misc]  # xdist brings no types
    """Gives the tests of a file to one test process, and those of the files of TOGETHER."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return TOGETHER.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    """Distribute the tests among the test processes."""
    return Sharing(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make long` asks for."""
    parser.addoption("--long", action="store_true", help="random tests in their long form, journeys at both widths")


def pytest_configure(config: pytest.Config) -> None:
    """Point SoftHSM to a folder of this process, before any test module can load the library.

    The tests' own folders lie where databases do: a run makes 26,000 files, whose removal from a disk takes a minute.
    """
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(databases.quick_folder()))
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # a thousand hashes of 18 ms otherwise
    config.stash[STORE] = softhsm.install()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the slow folders first, so that parallel test processes end at about the same time. The tests of a file stay together.

    What `make long` does alone is left out: tests with its mark, and journeys through pages at their second width (they are made at one, by
    turns; `tests/access` looks at every page at both).
    """
    if not config.getoption("long"):
        late = {
            item for item in items if item.get_closest_marker("long") or (item.path.parent.name == "browser" and not _at_its_width(item))
        }
        config.hook.pytest_deselected(items=list(late))
        items[:] = [item for item in items if item not in late]
    items.sort(key=lambda item: SLOW.index(room) if (room := item.path.relative_to(TESTS).parts[0]) in SLOW else len(SLOW))


def _at_its_width(item: pytest.Item) -> bool:
    """Return whether a test of pages is to be run at its parameter `width`, by the length of its name: half are even."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return True
    values = item.callspec.params
    return set(values) != {"width"} or bool(values["width"] == WIDTHS[len(item.originalname) % 2])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the SoftHSM folder of this process."""
    softhsm.uninstall(config.stash[STORE])


@pytest.fixture(scope="session")
def long_form(pytestconfig: pytest.Config) -> bool:
    """Return whether a random test takes as many runs as `make long` gives it, instead of those of every day."""
    return bool(pytestconfig.getoption("long"))


@pytest.fixture(scope="session", name="softhsm")
def softhsm_store(pytestconfig: pytest.Config) -> SoftHSM:
    """Return the SoftHSM store of this process."""
    return pytestconfig.stash[STORE]


@pytest.fixture(scope="session")
def signing_token(softhsm: SoftHSM) -> HSM:
    """Return a token with every signing key. A test that breaks its token makes one of its own (`softhsm.token(label, plan)`)."""
    return softhsm.token("sifilma", SIGNING_PLAN, assert_no_transaction)


@pytest.fixture(scope="session")
def root_token(softhsm: SoftHSM) -> HSM:
    """Return the token of the root key, which signs keysets."""
    return softhsm.token("sifilma-root", ROOT_PLAN)


@pytest.fixture(scope="session")
def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """Yield the folder that all test processes of this run share, None if this is the only one."""
    process = os.environ.get("PYTEST_XDIST_WORKER")
    if process is None:
        yield None
        return
    with databases.common_folder(tmp_path_factory.getbasetemp().parent, process) as folder:
        yield folder


@pytest.fixture(scope="session")
def pg_cluster(common_folder: Path | None) -> Iterator[Cluster]:
    """Yield the PostgreSQL server of this process, which has the template of the databases."""
    with databases.migrated_cluster(common_folder) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def fresh_postgresql(pg_cluster: Cluster) -> Fresh:
    """Return a factory of migrated databases on the PostgreSQL server of this process."""
    return FreshPostgres(pg_cluster)


@pytest.fixture(scope="session")
def fresh_sqlite(common_folder: Path | None) -> Iterator[Fresh]:
    """Yield a factory of migrated SQLite databases."""
    with tempfile.TemporaryDirectory(prefix="sif-sqlite-", dir=databases.quick_folder()) as name:
        folder = Path(name)
        yield FreshSqlite(folder, databases.migrated_file(folder, common_folder))


@pytest.fixture(params=databases.KINDS)
def fresh_databases(request: pytest.FixtureRequest) -> Fresh:
    """Return a factory of migrated databases; the test runs once for each kind."""
    made: Fresh = request.getfixturevalue(f"fresh_{request.param}")
    return made


@pytest.fixture
def database_url(fresh_databases: Fresh) -> Iterator[str]:
    """Yield the URL of a fresh migrated database with the region codes; the test runs on SQLite and on PostgreSQL."""
    url = fresh_databases.make()
    yield url
    fresh_databases.remove(url)


@pytest.fixture
def sqlite_url(fresh_sqlite: Fresh) -> Iterator[str]:
    """Yield the URL of a fresh migrated SQLite database."""
    url = fresh_sqlite.make()
    yield url
    fresh_sqlite.remove(url)


@pytest.fixture
def postgresql_url(fresh_postgresql: Fresh) -> Iterator[str]:
    """Yield the URL of a fresh migrated PostgreSQL database."""
    url = fresh_postgresql.make()
    yield url
    fresh_postgresql.remove(url)


@pytest.fixture(scope="session")
def inhabit(tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM) -> Callable[[str], None]:
    """Return a function that puts the organisations and people of a World into the database of a URL."""
    return lambda url: World(url, tmp_path_factory.mktemp("template"), signing_token, root_token).close()


@pytest.fixture(scope="session")
def inhabited_postgresql(fresh_postgresql: Fresh, inhabit: Callable[[str], None]) -> Fresh:
    """Return a factory of PostgreSQL databases with organisations and people."""
    return fresh_postgresql.holding(inhabit)


@pytest.fixture(scope="session")
def inhabited_sqlite(fresh_sqlite: Fresh, inhabit: Callable[[str], None]) -> Fresh:
    """Return a factory of SQLite databases with organisations and people."""
    return fresh_sqlite.holding(inhabit)


@pytest.fixture(scope="session")
def crowd_postgresql(inhabited_postgresql: Fresh, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM) -> Crowd:
    """Return a factory of installations on PostgreSQL with objects of every organisation."""
    return Crowd(inhabited_postgresql, tmp_path_factory.mktemp("crowd"), signing_token, root_token)


@pytest.fixture(scope="session")
def crowd_sqlite(inhabited_sqlite: Fresh, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM) -> Crowd:
    """Return a factory of installations on SQLite with objects of every organisation."""
    return Crowd(inhabited_sqlite, tmp_path_factory.mktemp("crowd"), signing_token, root_token)


@pytest.fixture(scope="session")
def prefabs_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Fresh], Prefabs]:
    """Return the installations that are kept for copying, for each factory of databases."""
    kept: dict[Fresh, Prefabs] = {}

    def of(fresh: Fresh) -> Prefabs:
        if fresh not in kept:
            kept[fresh] = Prefabs(fresh, tmp_path_factory.mktemp("prefabs"))
        return kept[fresh]

    return of


@pytest.fixture
def new_world(
    tmp_path: Path, signing_token: HSM, root_token: HSM, prefabs_of: Callable[[Fresh], Prefabs]
) -> Callable[[Fresh], AbstractContextManager[World]]:
    """Return a context manager that makes a whole installation on a database of its own, and removes the database afterwards."""

    @contextmanager
    def made(fresh: Fresh) -> Iterator[World]:
        url = fresh.make()
        with closing(World(url, tmp_path / "home", signing_token, root_token)) as world:
            world.prefabs = prefabs_of(fresh)
            yield world
        fresh.remove(url)

    return made


@pytest.fixture(params=databases.KINDS)
def world(request: pytest.FixtureRequest, new_world: Callable[[Fresh], AbstractContextManager[World]]) -> Iterator[World]:
    """Yield a whole installation; the test runs on SQLite and on PostgreSQL."""
    with new_world(request.getfixturevalue(f"inhabited_{request.param}")) as made:
        yield made


@pytest.fixture
def sqlite_world(inhabited_sqlite: Fresh, new_world: Callable[[Fresh], AbstractContextManager[World]]) -> Iterator[World]:
    """Yield a whole installation on SQLite."""
    with new_world(inhabited_sqlite) as made:
        yield made


@pytest.fixture
def postgresql_world(inhabited_postgresql: Fresh, new_world: Callable[[Fresh], AbstractContextManager[World]]) -> Iterator[World]:
    """Yield a whole installation on PostgreSQL."""
    with new_world(inhabited_postgresql) as made:
        yield made
