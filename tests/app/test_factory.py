"""What an application holds ends with it: a process of tests makes thousands, one of a command or a server one."""

from __future__ import annotations

import gc
from pathlib import Path
from weakref import ref

from hsm import HSM
from tests.support.visitor import Visitor
from tests.support.world import World


def test_an_application_that_has_ended_leaves_nothing_behind(sqlite_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> None:
    world = World(sqlite_url, tmp_path / "home", signing_token, root_token)
    Visitor(world, "operator1").text("/")
    application = ref(world.app)
    world.close()
    del world
    gc.collect()
    assert application() is None
