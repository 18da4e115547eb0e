"""A server of a whole installation, and a browser: one of each for a module's tests, which come with objects of their own."""

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
    """An installation whose time is the server's time, and its server."""
    url = fresh_sqlite.make()
    home = tmp_path_factory.mktemp("home")
    with closing(World(url, home, signing_token, root_token, datetime.now(UTC))) as world, running(world) as made:
        yield world, made
    fresh_sqlite.remove(url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with chromium() as made:
        yield made
