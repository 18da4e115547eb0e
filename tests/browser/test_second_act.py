"""What goes wrong every week, by links and buttons of the pages, each at one width; `make desk` does all of it at both, in dark too."""

from __future__ import annotations

import re
from itertools import cycle
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.benchmarks.desk_work.counting import Count
from tests.benchmarks.desk_work.second_act import SCENES, Scene
from tests.benchmarks.desk_work.work import Work
from tests.support.browser import WIDTHS, sideways, sound, watch
from tests.support.servers import Server
from tests.support.world import World

OWN = ("/selisih", "/pembekuan/*", "/unit/*", "/kembalikan")
"""Pages that no other journey of the suite comes to, by the end of their path: axe looks at each once."""
_judged: set[str] = set()


def look(page: Page) -> None:
    """Assert that a page has no errors and needs no horizontal scrolling, and that axe finds nothing on one of OWN."""
    kind = re.sub(r"/[0-9a-f-]{36}", "/*", page.url.split("?")[0].split("#")[0])
    if kind.endswith(OWN) and kind not in _judged:
        _judged.add(kind)
        sound(page)
    assert (watch(page), sideways(page)) == ([], []), page.url


@pytest.mark.parametrize(("scene", "width"), list(zip(SCENES, cycle(WIDTHS), strict=False)), ids=lambda one: getattr(one, "__name__", one))
def test_the_pages_lead_through(server: tuple[World, Server], browser: Browser, tmp_path: Path, scene: Scene, width: int) -> None:
    scene(Work(*server, browser, tmp_path, Count(), width, look, brief=True))
    for context in browser.contexts:  # a page that is left open goes on asking
        context.close()
