"""One server and one browser for the tests of a module; each test makes objects of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser

from hsm import HSM
from tests.support.browser import chromium
from tests.support.databases import Fresh
from tests.support.servers import Server, running
from tests.support.world import World


@pytest.fixture(scope="module")
def server(
    fresh_sqlite: Fresh, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM
) -> Iterator[tuple[World, Server]]:
    """Yield an installation whose clock shows the real time, and its server."""
    url = fresh_sqlite.make()
    home = tmp_path_factory.mktemp("home")
    with closing(World(url, home, signing_token, root_token, datetime.now(UTC))) as world, running(world) as made:
        yield world, made
    fresh_sqlite.remove(url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield Debian's Chromium."""
    with chromium() as made:
        yield made
