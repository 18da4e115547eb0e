"""Every example of docs/api.md is run against a served demonstration; the document names every call and every problem type."""

from __future__ import annotations

import ast
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sifilma.web.links import API
from tests.support import databases, demonstration, house, stories
from tests.support.demonstration import Demonstration
from tests.support.programs import ROOT
from tests.support.world import World

DOCUMENT = (ROOT / "docs" / "api.md").read_text()
LONGEST = 90
"""Seconds a run may take on a machine that is busy with other tests."""
REFUSALS = {
    "SifilmaError",
    "Invalid",
    "Invalid.field",
    "Unauthenticated",
    "Forbidden",
    "StepUpRequired",
    "NotFound",
    "Conflict",
    "TooLarge",
    "TooMany",
    "TooOften",
    "Unavailable",
}


PARAMETER = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>")


@pytest.fixture(scope="module")
def served() -> Iterator[Demonstration]:
    """A demonstration with its worker."""
    quick = tempfile.TemporaryDirectory(prefix="sif-docs-", dir=databases.quick_folder())
    with quick as folder, demonstration.served(Path(folder) / "var") as made:
        yield made


def run(document: str, made: Demonstration) -> list[stories.Fault]:
    environment = dict(os.environ) | {"SIFILMA_URL": made.url, "SIFILMA_HOME": str(made.home)}
    return stories.run(document, ROOT, environment, LONGEST)


# --- the examples ----------------------------------------------------------------------------------------------------


def test_every_example_does_what_the_document_says(served: Demonstration) -> None:
    assert DOCUMENT.count("```bash") > 20
    assert [str(fault) for fault in run(DOCUMENT, served)] == []


def test_a_wrong_status_in_the_document_is_found(served: Demonstration) -> None:
    blocks = re.findall(r"^```bash\n.*?^```\n", DOCUMENT, re.DOTALL | re.MULTILINE)
    right = "".join([*blocks[:2], next(block for block in blocks if "Bearer wrong" in block)])
    assert run(right, served) == []
    faults = run(right.replace("# -> 401", "# -> 200"), served)
    assert len(faults) == 1
    assert "'401'" in faults[0].what


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("echo one", "line 2: claims [], printed ['one']"),
        ("true\n# -> one", "line 2: claims ['one'], printed []"),
        ("echo one\n# -> one\necho two three\n# -> two", "line 4: claims ['two'], printed ['two three']"),
        ("echo one\n# -> one\nfalse", "line 4: exit status 1: "),
        ("echo one\n# -> one\n```\n\n```bash\necho $nobody", "line 7: exit status 1: "),
    ],
)
def test_a_planted_fault_is_found_where_it_is(code: str, fault: str, tmp_path: Path) -> None:
    found = [str(one) for one in stories.run(f"```bash\n{code}\n```\n", tmp_path, os.environ, LONGEST)]
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_what_a_claim_leaves_open_may_be_anything(tmp_path: Path) -> None:
    document = "```bash\necho 'a b c'\n\necho\n# -> a … c\n```\n\n```json\n# -> nobody claims this\n```\n"
    assert stories.run(document, tmp_path, os.environ, LONGEST) == []


# --- the tables ------------------------------------------------------------------------------------------------------


def named(path: str) -> str:
    """`/units/<uuid:id>` below the API as `/units/{id}`."""
    return PARAMETER.sub(r"{\1}", path.removeprefix(API))


def calls_of(world: World) -> set[str]:
    """Every call of the API, as the document writes it: `GET /units/{id}`."""
    return {
        f"{method} {named(rule.rule)}"
        for rule in world.app.url_map.iter_rules()
        if rule.rule.startswith(API)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def problem_types() -> set[str]:
    """The types the code can answer: those of the classes, and those given to a refusal by name."""
    found = set(re.findall(r'^    type = "([a-z-]+)"$', (ROOT / "sifilma" / "kernel" / "errors.py").read_text(), re.MULTILINE))
    for source in house.python_sources():
        if not source.path.startswith("sifilma/"):
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).removeprefix("errors.") in REFUSALS:
                found |= {k.value.value for k in node.keywords if k.arg == "type" and isinstance(k.value, ast.Constant)}
    return found


def section(title: str) -> str:
    """The text below a heading."""
    return DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_call_is_named_and_no_other(sqlite_world: World) -> None:
    told = re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`]*)`", section("Every call"))
    assert len(told) == len(set(told))
    assert set(told) == calls_of(sqlite_world)


def test_every_problem_type_is_named_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", section("Every problem type"), re.MULTILINE)
    told = re.findall(r"`([a-z0-9-]+)`", " ".join(rows))
    assert len(told) == len(set(told))
    assert set(told) - {"http-4xx"} == problem_types()
