"""One installation for all roles of a module: nearly every call is a refusal, which changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.access.crowd import Crowd
from tests.support.world import World


@pytest.fixture(scope="module")
def crowded(crowd_sqlite: Crowd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield an installation with objects of every organisation, on SQLite."""
    with crowd_sqlite.world(tmp_path_factory.mktemp("crowd")) as made:
        yield made


@pytest.fixture(scope="module")
def crowded_postgresql(crowd_postgresql: Crowd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield an installation with objects of every organisation, on PostgreSQL."""
    with crowd_postgresql.world(tmp_path_factory.mktemp("crowd")) as made:
        yield made
