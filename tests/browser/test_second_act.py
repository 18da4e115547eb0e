"""What goes wrong every week, by links and buttons of the pages alone, each at one width; `make desk` does all of it at both."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.benchmarks.desk_work.counting import Count
from tests.benchmarks.desk_work.second_act import SCENES, Scene
from tests.benchmarks.desk_work.work import Work
from tests.support.browser import WIDTHS, sound
from tests.support.servers import Server
from tests.support.world import World


@pytest.mark.parametrize(("scene", "width"), list(zip(SCENES, cycle(WIDTHS), strict=False)), ids=lambda one: getattr(one, "__name__", one))
def test_the_pages_lead_through(server: tuple[World, Server], browser: Browser, tmp_path: Path, scene: Scene, width: int) -> None:
    scene(Work(*server, browser, tmp_path, Count(), width, sound))
