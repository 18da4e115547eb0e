from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from hsm import HSM
from sifilma.documents.store import DatabaseStore
from sifilma.fsck.run import Installation
from sifilma.kernel.db import db
from tests.fsck.life import Life, lived
from tests.support import databases
from tests.support.databases import Fresh
from tests.support.world import World


@pytest.fixture(scope="session", params=databases.KINDS)
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM) -> Iterator[Life]:
    """Yield one lived-in installation for all tests, on SQLite and on PostgreSQL. No test commits to it."""
    fresh: Fresh = request.getfixturevalue(f"fresh_{request.param}")
    url = fresh.make()
    with closing(World(url, tmp_path_factory.mktemp("life") / "home", signing_token, root_token)) as world:
        yield lived(world)
    fresh.remove(url)


def installation(world: World) -> Installation:
    """Return what fsck examines: database, settings, HSM, file store and clock."""
    with world.app.app_context():
        return Installation(db.engine, world.settings, world.hsm, DatabaseStore(), world.clock)
