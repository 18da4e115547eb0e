"""Two of the six jobs whose clicks are counted, by links and buttons of the pages alone; `make desk` does all of them."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from tests.benchmarks.desk_work.__main__ import BAR, BEFORE
from tests.benchmarks.desk_work.counting import Count
from tests.benchmarks.desk_work.jobs import office_destroys_one_card, operator_personalises_and_hands_over
from tests.benchmarks.desk_work.work import Work
from tests.support.browser import DESK, PHONE, sound
from tests.support.servers import Server
from tests.support.world import World

Made = tuple[World, Server]


def test_an_operator_personalises_and_hands_over_by_the_keyboard(server: Made, browser: Browser, tmp_path: Path) -> None:
    work = Work(*server, browser, tmp_path, Count(), DESK, sound, keys=True)
    operator_personalises_and_hands_over(work)
    assert work.count.total <= BAR * BEFORE["operator_personalises_and_hands_over"].total


def test_an_office_destroys_a_card_on_a_phone(server: Made, browser: Browser, tmp_path: Path) -> None:
    work = Work(*server, browser, tmp_path, Count(), PHONE, sound)
    office_destroys_one_card(work)
    assert work.count.total <= BAR * BEFORE["office_destroys_one_card"].total
