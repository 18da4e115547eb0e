"""Count what a person does in a browser: clicks, fields that are typed or chosen, and pages that are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

MOST_TABS = 300


@dataclass
class Count:
    """How much one job took."""

    clicks: int = 0
    fields: int = 0
    pages: int = 0

    @property
    def total(self) -> int:
        """Clicks, fields and pages together."""
        return self.clicks + self.fields + self.pages


class Desk:
    """Somebody at a page. Each method counts what it does; what a script does for other people is not counted.

    `look` is called with every page that a click leads to. With `keys` everything but files and pasted columns is done by the keyboard.
    """

    def __init__(self, page: Page, count: Count, look: Callable[[Page], None] | None = None, *, keys: bool = False) -> None:
        self.page, self.count, self.look, self.keys = page, count, look, keys
        page.on("domcontentloaded", self._drawn)

    def _drawn(self, _: Page) -> None:
        self.count.pages += 1

    def go(self, selector: str) -> None:
        """Click on the first of what leads to another page."""
        self.count.clicks += 1
        with self.page.expect_navigation(wait_until="load"):
            self._press(selector, "Enter")
        if self.look:
            self.look(self.page)

    def _press(self, selector: str, key: str) -> None:
        if self.keys:
            self._reach(selector)
            self.page.keyboard.press(key)
            return
        self.page.locator(selector).first.click()

    def _reach(self, selector: str) -> None:
        """Move the focus by Tab to the first of what a selector names, among radio buttons by the arrows. Assert that it is reached."""
        wanted = self.page.locator(selector).first.element_handle()
        for _ in range(MOST_TABS):
            if self.page.evaluate("one => document.activeElement === one", wanted):
                return
            of_group = "one => one.type === 'radio' && document.activeElement.name === one.name"
            self.page.keyboard.press("ArrowDown" if self.page.evaluate(of_group, wanted) else "Tab")
        raise AssertionError(f"{selector} is not reached by the keyboard on {self.page.url}")

    def menu(self) -> None:
        """Open the menu where the window is too small to show it."""
        button = self.page.locator("header [data-bs-toggle=offcanvas]")
        if button.is_visible():
            self.click("header [data-bs-toggle=offcanvas]")

    def confirm(self) -> None:
        """Answer the question that comes before what cannot be undone, if this page is one."""
        if self.page.locator("[name=sure]").count():
            self.go("form:has([name=sure]) button[type=submit]")

    def back(self) -> None:
        """Press the browser's own Back."""
        self.count.clicks += 1
        self.page.go_back(wait_until="load")

    def click(self, selector: str) -> None:
        """Click on what stays on this page."""
        self.count.clicks += 1
        self._press(selector, "Enter")

    def tick(self, selector: str) -> None:
        """Tick a box."""
        self.count.clicks += 1
        if self.keys:
            self._press(selector, "Space")
            assert self.page.locator(selector).first.is_checked()
            return
        self.page.locator(selector).first.check()

    def type(self, **fields: str) -> None:
        """Type into fields by name."""
        for name, value in fields.items():
            self.count.fields += 1
            if self.keys:
                self._reach(f"[name='{name}']")
                self.page.keyboard.type(value)
            else:
                self.page.fill(f"[name='{name}']", value)

    def choose(self, name: str, value: str = "", index: int | None = None) -> None:
        """Choose from a list, by value or by place."""
        self.count.fields += 1
        listed = self.page.locator(f"[name='{name}']")
        if self.keys and index is not None:
            self._reach(f"[name='{name}']")
            self.page.keyboard.type(listed.locator("option").nth(index).inner_text()[:12])
            return
        if index is None:
            listed.select_option(value)
        else:
            listed.select_option(index=index)

    def file(self, name: str, path: Path) -> None:
        """Choose a file."""
        self.count.fields += 1
        self.page.set_input_files(f"[name='{name}']", str(path))

    def paste(self, selector: str, lines: list[str]) -> None:
        """Paste a column, copied from a spreadsheet, into the first of several fields."""
        self.count.fields += 1
        self.page.locator(selector).first.evaluate(
            """(cell, text) => { const data = new DataTransfer(); data.setData("text", text);
            cell.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true})); }""",
            "\r\n".join(lines),
        )

    def fill_down(self, columns: int) -> None:
        """Write a value into the first cell of columns of a spreadsheet and fill each down: a field and a click for each."""
        self.count.fields += columns
        self.count.clicks += columns

    def download(self, selector: str, folder: Path) -> Path:
        """Click on what is a file. Return where it was stored."""
        self.count.clicks += 1
        with self.page.expect_download() as saved:
            self.page.locator(selector).first.click()
        path = folder / saved.value.suggested_filename
        saved.value.save_as(path)
        return path
