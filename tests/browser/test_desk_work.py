"""Work at a desk, by links and buttons of the pages alone: two of the six jobs whose clicks are counted, and what goes wrong every week.

`make desk` does all of it, at both widths, in light and dark.
"""

from __future__ import annotations

import re
from itertools import cycle
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.benchmarks.desk_work.__main__ import BAR, BEFORE
from tests.benchmarks.desk_work.counting import Count
from tests.benchmarks.desk_work.jobs import office_destroys_one_card, operator_personalises_and_hands_over
from tests.benchmarks.desk_work.second_act import SCENES, Scene
from tests.benchmarks.desk_work.work import Work
from tests.support.browser import DESK, PHONE, WIDTHS, sideways, sound, watch
from tests.support.servers import Server
from tests.support.world import World

Made = tuple[World, Server]
OWN = ("/selisih", "/pembekuan/*", "/unit/*")
"""Pages that no other journey of the suite comes to, by the end of their path: axe looks at each once."""
_judged: set[str] = set()
_pages: dict[int, Page] = {}
"""The page at which the people of all scenes sit, by its width."""


def test_an_operator_personalises_and_hands_over_by_the_keyboard(server: Made, browser: Browser, tmp_path: Path) -> None:
    work = Work(*server, browser, tmp_path, Count(), DESK, sound, keys=True)
    operator_personalises_and_hands_over(work)
    assert work.count.total <= BAR * BEFORE["operator_personalises_and_hands_over"].total


def test_an_office_destroys_a_card_on_a_phone(server: Made, browser: Browser, tmp_path: Path) -> None:
    work = Work(*server, browser, tmp_path, Count(), PHONE, sound)
    office_destroys_one_card(work)
    assert work.count.total <= BAR * BEFORE["office_destroys_one_card"].total


def look(page: Page) -> None:
    """Assert that a page has no errors and needs no horizontal scrolling, and that axe finds nothing on one of OWN."""
    kind = re.sub(r"/[0-9a-f-]{36}", "/*", page.url.split("?")[0].split("#")[0])
    if kind.endswith(OWN) and kind not in _judged:
        _judged.add(kind)
        sound(page)
    assert (watch(page), sideways(page)) == ([], []), page.url


@pytest.mark.parametrize(("scene", "width"), list(zip(SCENES, cycle(WIDTHS), strict=False)), ids=lambda one: getattr(one, "__name__", one))
def test_the_pages_lead_through_what_goes_wrong(server: Made, browser: Browser, tmp_path: Path, scene: Scene, width: int) -> None:
    work = Work(*server, browser, tmp_path, Count(), width, look, brief=True, page=_pages.get(width))
    scene(work)
    if work.page:
        _pages[width] = work.page
