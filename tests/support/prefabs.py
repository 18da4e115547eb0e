"""Installations as they are after a short cut (`World.ready` and others), copied instead of made again for each test."""

from __future__ import annotations

import copy
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.databases import Fresh

if TYPE_CHECKING:
    from tests.support.world import World

WORTH_IT = 2
"""At which use in a process a copy is kept: most short cuts with unusual numbers are taken once."""


@dataclass(frozen=True)
class Prefab:
    """What a short cut left: a template of its database, a copy of its home, and its result."""

    template: str
    home: Path
    result: Any


class Prefabs:
    """Prefabs of one kind of database in this test process, by short cut and arguments."""

    def __init__(self, fresh: Fresh, folder: Path) -> None:
        self._fresh, self._folder = fresh, folder
        self._kept: dict[tuple[Any, ...], Prefab] = {}
        self._uses: Counter[tuple[Any, ...]] = Counter()

    def bring(self, world: World, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return the result of `make` on an installation in which nothing has happened: by doing it, or by putting the copy of an
        installation in its place.
        """
        kept = self._kept.get(key)
        if kept is not None:
            world.touch()
            world.close()
            self._fresh.restore(world.settings.database_url, kept.template)
            shutil.rmtree(world.settings.home)
            shutil.copytree(kept.home, world.settings.home, symlinks=True)
            return copy.deepcopy(kept.result)
        self._uses[key] += 1
        result = make()
        if self._uses[key] >= WORTH_IT:
            world.close()
            home = self._folder / f"home-{len(self._kept)}"
            shutil.copytree(world.settings.home, home, symlinks=True)
            self._kept[key] = Prefab(self._fresh.save(world.settings.database_url), home, copy.deepcopy(result))
        return result
