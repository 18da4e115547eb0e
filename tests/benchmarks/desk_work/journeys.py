"""The jobs, and what goes wrong every week, as journeys: at both widths, two by the keyboard too, each page judged in light and in dark."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import Page

from tests.benchmarks.desk_work.counting import Count
from tests.benchmarks.desk_work.jobs import BY_KEYBOARD, JOBS
from tests.benchmarks.desk_work.second_act import SCENES
from tests.benchmarks.desk_work.work import Work, surroundings
from tests.support.browser import DESK, WIDTHS, sideways, violations, watch


def judged(page: Page) -> None:
    """Assert that a page has no errors, needs no horizontal scrolling, and that axe finds nothing in light and dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for look in (watch, sideways, violations):
            found = look(page)
            assert found == [], f"{page.url} in {scheme}: {found}"


def travelled() -> list[str]:
    """Do each job and scene at both widths, and those of BY_KEYBOARD by the keyboard. Return what was done, a line each."""
    done = []
    ways = [(job, width, False) for job in (*JOBS, *SCENES) for width in WIDTHS] + [(job, DESK, True) for job in BY_KEYBOARD]
    for job, width, keys in ways:
        with surroundings() as (world, server, browser), tempfile.TemporaryDirectory() as folder:
            job(Work(world, server, browser, Path(folder), Count(), width, judged, keys))
        done.append(f"{job.__name__} at {width} px{' by keyboard' if keys else ''}")
    return done
