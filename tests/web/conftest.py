"""An installation that the tests of this folder only read, or leave unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from hsm import HSM
from tests.support.databases import Fresh
from tests.support.world import World


@pytest.fixture(scope="module")
def house(fresh_sqlite: Fresh, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield a whole installation on SQLite, one for each test module."""
    url = fresh_sqlite.make()
    with closing(World(url, tmp_path_factory.mktemp("home"), signing_token, root_token)) as made:
        yield made
    fresh_sqlite.remove(url)
