"""Every page of every role in a real browser: axe, Content Security Policy, console, width, size and CPU time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser
from werkzeug.test import TestResponse

from hsm import HSM
from tests.access.checker import Walk
from tests.access.objects import populate
from tests.access.roles import ROLES, Role, visitor
from tests.support.browser import WIDTHS, chromium, known, opened, sound
from tests.support.databases import Fresh
from tests.support.outline import doubled_ids, outline
from tests.support.servers import Server, running
from tests.support.world import World

HEAVY, SLOW = 100 * 1024, 0.150
"""Upper bounds: bytes of a page's own HTML, and seconds of CPU that the server takes for it."""
PEOPLE = [role for role in ROLES if not role.key_of and not role.disabled]


@pytest.fixture(scope="module")
def served(
    fresh_sqlite: Fresh, tmp_path_factory: pytest.TempPathFactory, signing_token: HSM, root_token: HSM
) -> Iterator[tuple[World, Server]]:
    """Yield an installation with objects of every organisation, whose clock shows the real time, and its server."""
    url = fresh_sqlite.make()
    with closing(World(url, tmp_path_factory.mktemp("home"), signing_token, root_token, datetime.now(UTC))) as world:
        populate(world)
        with running(world) as made:
            yield world, made
    fresh_sqlite.remove(url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield Debian's Chromium."""
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def judged() -> set[tuple[str, ...]]:
    """Return the outlines that earlier pages were judged with: axe does not judge the same outline again for another role."""
    return set()


@pytest.mark.parametrize("role", PEOPLE, ids=lambda role: role.name)
def test_every_page_of_a_role_is_sound_light_and_quick(
    served: tuple[World, Server], browser: Browser, judged: set[tuple[str, ...]], role: Role
) -> None:
    world, made = served
    walk = Walk(visitor(world, role))
    answers = dict(_answers(walk))
    assert len(answers) > 5
    assert {path: len(html) for path, (html, _) in answers.items() if len(html.encode()) > HEAVY} == {}
    assert {path: spent for path, (_, spent) in answers.items() if spent > SLOW} == {}
    assert {path: twice for path, (html, _) in answers.items() if (twice := doubled_ids(html))} == {}
    page = opened(browser, made, WIDTHS[0])
    known(page, made, walk.visitor.client())
    for path, (html, _) in answers.items():
        if not (found := outline(html)) <= judged:
            page.goto(path)
            for width in WIDTHS:  # the window is made narrow and wide again, which saves half of the loading
                page.set_viewport_size({"width": width, "height": 800})
                sound(page, contrast=width == WIDTHS[0])
            judged |= found
    page.context.close()


def _answers(walk: Walk) -> Iterator[tuple[str, tuple[str, float]]]:
    """Yield each path with its HTML and its seconds of CPU. Refusals count as pages; files, fragments and redirects do not."""
    for route, path in walk.pages():
        answer, spent = _answer(walk, path)
        assert answer.status_code < 500, f"{route}: {answer.status_code}"
        html = answer.get_data(as_text=True) if answer.mimetype == "text/html" else ""
        if answer.status_code not in (302, 303) and "<html" in html:
            yield (
                path,
                (html, spent if spent < SLOW else _answer(walk, path)[1]),
            )  # measured again: a first call may fill caches


def _answer(walk: Walk, path: str) -> tuple[TestResponse, float]:
    client, before = walk.visitor.client(), time.thread_time()
    answer = client.open("GET", path, headers=client.headers | {"Accept": "text/html"}, buffered=True)
    return answer, time.thread_time() - before
