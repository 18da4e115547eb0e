"""A server of a whole installation, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from hsm import HSM
from tests.support.browser import chromium
from tests.support.servers import Server, running
from tests.support.world import World


@pytest.fixture
def server(sqlite_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[tuple[World, Server]]:
    """An installation whose time is the server's time, and its server."""
    with closing(World(sqlite_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC))) as world, running(world) as made:
        yield world, made


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with chromium() as made:
        yield made
