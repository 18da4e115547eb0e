from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from hsm import HSM
from hsm.keys import SIGNING_PLAN
from sifilma.documents.store import DiskStore
from sifilma.fsck.run import Installation
from sifilma.kernel.db import db
from sifilma.kernel.unit_of_work import assert_no_transaction
from tests.fsck.life import Life, lived
from tests.support import databases
from tests.support.databases import Fresh
from tests.support.softhsm import SoftHSM
from tests.support.world import World


@pytest.fixture(scope="session", params=databases.KINDS)
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, softhsm: SoftHSM, root_token: HSM) -> Iterator[Life]:
    """Yield one lived-in installation for all tests, on SQLite and on PostgreSQL. No test commits to it. Its token gets a further key."""
    fresh: Fresh = request.getfixturevalue(f"fresh_{request.param}")
    url = fresh.make()
    token = softhsm.token(f"life-{request.param}", SIGNING_PLAN, assert_no_transaction)
    with closing(World(url, tmp_path_factory.mktemp("life") / "home", token, root_token)) as world:
        yield lived(world)
    fresh.remove(url)


def installation(world: World) -> Installation:
    """Return what fsck examines: database, settings, HSM, file store and clock."""
    with world.app.app_context():
        return Installation(db.engine, world.settings, world.hsm, DiskStore(world.settings.files), world.clock)
