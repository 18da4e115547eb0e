"""One installation for all roles of a module: nearly every call is a refusal, which changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from hsm import HSM
from tests.access.objects import populate
from tests.support.databases import Fresh
from tests.support.world import World


def _installed(fresh: Fresh, factory: pytest.TempPathFactory, signing: HSM, root: HSM) -> Iterator[World]:
    url = fresh.make()
    with closing(World(url, factory.mktemp("home"), signing, root)) as made:
        populate(made)
        yield made
    fresh.remove(url)


@pytest.fixture(scope="module")
def crowded(fresh_sqlite: Fresh, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation with objects of every organisation, on SQLite."""
    yield from _installed(fresh_sqlite, tmp_path_factory, signing_token, root_token)


@pytest.fixture(scope="module")
def crowded_postgresql(
    fresh_postgresql: Fresh, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM
) -> Iterator[World]:
    """Yield an installation with objects of every organisation, on PostgreSQL."""
    yield from _installed(fresh_postgresql, tmp_path_factory, signing_token, root_token)
