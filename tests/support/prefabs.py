"""Installations as they are after a short cut (`World.ready` and others), copied instead of made again for each test."""

from __future__ import annotations

import copy
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from config.settings import Settings
from sifilma.kernel.clock import ManualClock
from tests.support.databases import Fresh

P = ParamSpec("P")
R = TypeVar("R")
WORTH_IT = 2
"""At which use in a process a copy is kept: most short cuts with unusual numbers are taken once."""


class Installation(Protocol):
    """The installation in whose place a copy is put."""

    settings: Settings
    start: datetime
    clock: ManualClock
    prefabs: Prefabs | None
    is_untouched: bool

    def close(self) -> None:
        """Close the connections to the database."""
        ...


W = TypeVar("W", bound=Installation)


def short_cut(make: Callable[Concatenate[W, P], R]) -> Callable[Concatenate[W, P], R]:
    """Take a short cut by doing it, or where nothing has happened yet, by the copy of an installation that took the same one."""
    takes = signature(make)

    @wraps(make)
    def taken(world: W, /, *given: P.args, **named: P.kwargs) -> R:
        if world.prefabs is None or not world.is_untouched or world.clock.now() != world.start:
            return make(world, *given, **named)
        bound = takes.bind(world, *given, **named)
        bound.apply_defaults()
        made: R = world.prefabs.bring(world, (make.__name__, *bound.args[1:]), lambda: make(world, *given, **named))
        return made

    return taken


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

    def bring(self, world: Installation, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return the result of `make` on an installation in which nothing has happened: by doing it, or by putting the copy of an
        installation in its place.
        """
        kept = self._kept.get(key)
        if kept is not None:
            world.is_untouched = False
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
