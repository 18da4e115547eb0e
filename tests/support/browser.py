"""Pages in a real Chromium: how tests sign in, follow links, and check that a page is sound."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pyotp
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.support import programs
from tests.support.outline import outline
from tests.support.servers import Server
from tests.support.world import Client, World

DESK, PHONE = 1366, 390
WIDTHS = (DESK, PHONE)
AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
PATIENCE = 8  # seconds for which a code must stay valid
SUBMIT = "main button[type=submit]"
YES = "[role=alertdialog] button.btn-danger"  # the answer to the question before an act that cannot be undone
_sound: dict[int, set[tuple[str, ...]]] = {}
_watched: WeakKeyDictionary[Page, list[str]] = WeakKeyDictionary()


@contextmanager
def chromium(*, whole: bool = False) -> Iterator[Browser]:
    """Yield Debian's Chromium as a headless shell; `whole`: the full browser in headless mode, which has the PDF viewer."""
    program = programs.chromium() if whole else programs.headless_chromium()
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield made
        finally:
            made.close()


def opened(browser: Browser, made: Server, width: int, *, language: str = "") -> Page:
    """Open a page of a new visitor. Relative URLs lead to this server; `watch` collects the errors of the page."""
    base = f"http://127.0.0.1:{made.port}"  # reduced_motion: axe would measure colours in the middle of a transition
    context = browser.new_context(base_url=base, viewport={"width": width, "height": 800}, reduced_motion="reduce")
    if language:
        context.add_cookies([{"name": "bahasa", "value": language, "url": f"http://127.0.0.1:{made.port}"}])
    page = context.new_page()
    page.set_default_timeout(20_000)
    watch(page)
    return page


def signed_in(browser: Browser, made: Server, world: World, user: str, width: int, *, language: str = "") -> Page:
    """Open the home page of a user whose session has just begun. tests/browser/test_pages.py signs in through the form instead."""
    world.clock.set(datetime.now(UTC))
    page = opened(browser, made, width, language=language)
    known(page, made, world.client(user))
    page.goto("/")
    return page


def known(page: Page, made: Server, client: Client) -> None:
    """Give the page the session cookie of a client that has one."""
    if "Cookie" in client.headers:
        name, _, value = client.headers["Cookie"].partition("=")
        page.context.add_cookies([{"name": name, "value": value, "url": f"http://127.0.0.1:{made.port}"}])


def press(page: Page, selector: str = SUBMIT) -> None:
    """Click on an element that leads to another page, and wait until that page is loaded (a click alone does not wait)."""
    with page.expect_navigation(wait_until="load"):
        page.click(selector)


def confirm(page: Page, thing: str) -> None:
    """Answer the question before an act that cannot be undone, which must name the thing."""
    assert thing in page.inner_text("[role=alertdialog]")
    sound(page)
    press(page, YES)


def unfold(page: Page) -> None:
    """Open the filters of a list where they are folded, on a phone."""
    if page.locator(".fold:not([open]) > summary").is_visible():
        page.click(".fold > summary")


def reach(page: Page, name: str, selector: str = "") -> None:
    """Press Tab until a field has the focus, at most 60 times; AssertionError if it never has."""
    wanted = page.locator(selector or f"[name={name}]")
    for _ in range(60):
        if wanted.evaluate("(one) => one === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {name or selector}")


def code(world: World, user: str) -> str:
    """Return a one-time code that the server accepts now.

    That is the code of the previous step or of the present one. Where both are used, this waits for the next step, at most 30 s: a
    code counts once, and a step later than the last used one is needed.
    """
    totp = pyotp.TOTP(world.seeds[user])
    [(last,)] = world.sql("SELECT totp_last_step FROM user_account WHERE username = :user", user=user)
    while True:
        now, left = totp.timecode(datetime.now(UTC)), totp.interval - time.time() % totp.interval
        for step in (now - 1, now) if left > PATIENCE else (now,):
            if step > last:
                return totp.generate_otp(step)
        time.sleep(left)


def watch(page: Page) -> list[str]:
    """Collect the errors of the page's scripts and the refusals of its Content Security Policy; the list grows as they happen."""
    if page in _watched:
        return _watched[page]
    found = _watched[page] = []

    def note(message: ConsoleMessage) -> None:
        refused = "status of 4" in message.text and "/static/" not in message.location["url"]  # a page may answer 4xx, an asset may not
        if message.type == "error" and not refused:
            found.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def sound(page: Page, *, contrast: bool = True) -> None:
    """Assert that the page has no errors, needs no horizontal scrolling, and has no violation that axe finds.

    Axe takes half a second. It is not run on a page whose outline holds nothing that it has not judged before at this width. Half of its
    time goes into contrasts: leave them out where the same colours were just judged at another width.
    """
    width = page.viewport_size["width"] if page.viewport_size else 0
    shown, known_here = outline(page.content()), _sound.setdefault(width, set())
    judge = partial(violations, contrast=contrast)
    for look in (watch, sideways) if shown <= known_here else (watch, sideways, judge):
        found = look(page)
        assert found == [], f"{page.url}: {found}"
    known_here |= shown


def sideways(page: Page) -> list[str]:
    """Return the elements that reach beyond the window, if the page can be scrolled horizontally."""
    found: list[str] = page.evaluate(
        """() => document.documentElement.scrollWidth <= window.innerWidth ? [] : [...document.querySelectorAll("body *")]
        .filter((one) => one.getBoundingClientRect().right > window.innerWidth + 1)
        .map((one) => one.tagName + "." + one.className).concat("the page").slice(0, 8)"""
    )
    return found


def violations(page: Page, *, contrast: bool = True) -> list[str]:
    """Return the violations that axe finds. Playwright evaluates the script through the debugger, past the Content Security Policy."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe())
    found: list[dict[str, Any]] = page.evaluate(
        """async ([runOnly, enabled]) =>
        (await axe.run(document, {runOnly, rules: {"color-contrast": {enabled}}, resultTypes: ["violations"]})).violations""",
        [RULES, contrast],
    )
    return [f"{one['id']}: {one['help']} {[node['target'] for node in one['nodes'][:5]]}" for one in found]


@lru_cache(maxsize=1)
def _axe() -> str:
    return AXE.read_text()
