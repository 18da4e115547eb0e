"""Installations with objects of every organisation: they are made once for each kind of database in a process, and copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hsm import HSM
from tests.access.objects import populate
from tests.support.databases import Fresh
from tests.support.world import START, World


class Crowd:
    """A factory of copies of one installation, which lies in the folder `home` and, as a template, among the databases."""

    def __init__(self, fresh: Fresh, home: Path, signing: HSM, root: HSM) -> None:
        self._home, self._hsms, self._now = home, (signing, root), START
        self._fresh = fresh.holding(self._populate)

    def _populate(self, url: str) -> None:
        with closing(World(url, self._home, *self._hsms)) as made:
            populate(made)
            self._now = made.clock.now()

    @contextmanager
    def world(self, folder: Path) -> Iterator[World]:
        """Yield a copy whose files lie in a folder, and remove its database afterwards."""
        shutil.copytree(self._home, folder / "home")
        url = self._fresh.make()
        with closing(World(url, folder / "home", *self._hsms)) as made:
            made.clock.set(self._now)
            yield made
        self._fresh.remove(url)
