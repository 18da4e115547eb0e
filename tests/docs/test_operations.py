"""docs/operations.md names the metrics, the log lines and the commands there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Set

import click

from sifilma.commands import main
from sifilma.web.metrics import REGISTRY
from tests.support import house
from tests.support.programs import ROOT
from tests.support.world import World

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
LOGGING = {f"log.{level}" for level in ("debug", "info", "warning", "error", "exception")}


def rows(title: str) -> list[str]:
    """The first cells of the table below a heading."""
    part = DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (`.*?`) \|", part, re.MULTILINE)


def names(title: str) -> set[str]:
    """What stands in them."""
    return set(re.findall(r"`([^`]+)`", " ".join(rows(title))))


def events(logging: Set[str] = LOGGING) -> Iterator[str]:
    """What the code logs."""
    ours = (source.tree for source in house.python_sources() if source.path.startswith(("sifilma/", "hsm/")))
    for node in (node for tree in ours for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func) in logging:
            yield ast.literal_eval(node.args[0])


def test_every_metric_is_named_and_no_other(sqlite_world: World) -> None:
    sqlite_world.anonymous().open("GET", "/beranda")
    kept = list(REGISTRY.collect())
    shown = {sample.name for metric in kept for sample in metric.samples}
    assert names("Metrics") == shown | {metric.name for metric in kept if not metric.samples}  # with labels that nothing has yet


def test_every_event_of_the_logs_is_named_and_no_other() -> None:
    assert names("Logs") == set(events())


def test_every_alarm_has_its_runbook_and_no_other() -> None:
    """An alarm is an event of level `error`; a runbook says where to look first, and what to do then."""
    assert names("Alarms") == set(events({"log.error", "log.exception"}))
    part = DOCUMENT.partition("\n## Alarms\n")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| `.*$", part, re.MULTILINE):
        assert all(len(cell.strip()) > 8 for cell in row.strip("|").split(" | ")[1:]), row


def test_the_checks_of_readyz_are_named(sqlite_world: World) -> None:
    checks = sqlite_world.anonymous().open("GET", "/readyz").json["checks"]
    row = next(line for line in DOCUMENT.splitlines() if line.startswith("| `/readyz` |"))
    assert [name for name in checks if f"`{name}`" not in row] == []


def test_every_command_it_names_is_there(sqlite_world: World) -> None:
    told = set(re.findall(r"^    sifilma ([a-z]+)(?: ([a-z-]+))?", DOCUMENT, re.MULTILINE)) | {("serve", ""), ("worker", "")}
    assert len(told) > 12
    for group, name in told:
        found = sqlite_world.app.cli.commands.get(group) or main.cli.commands.get(group)
        assert found is not None, group
        if isinstance(found, click.Group):
            assert name in found.commands or (group, name) == ("restore", ""), (group, name)  # `restore SOURCE` is the group's own


def test_a_place_is_kept_for_the_table_of_settings() -> None:
    assert DOCUMENT.count("<!-- made: settings -->\n") == 1
    assert re.search(r"<!-- made: settings -->\n.*?<!-- /made -->", DOCUMENT, re.DOTALL)
