"""Documents and docstrings refer to what is there: every link, heading, file, symbol and rule."""

from __future__ import annotations

import pytest

from tests.docs import citations
from tests.support import house
from tests.support.house import Source


def test_every_relative_link_leads_to_a_file_and_heading() -> None:
    assert [str(fault) for source in citations.documents() for fault in citations.broken_links(source)] == []


def test_every_file_and_symbol_named_in_a_document_is_there() -> None:
    assert [str(fault) for source in citations.documents() for fault in citations.missing_in_documents(source)] == []


def test_every_file_symbol_and_rule_named_in_a_docstring_is_there() -> None:
    assert [str(fault) for source in house.python_sources() for fault in citations.missing_in_docstrings(source)] == []


@pytest.mark.parametrize(
    "text",
    ["see [there](nowhere.md)", "see [there](architecture.md#no-such-heading)", "![picture](screenshots/none.png)", "[here](#nothing)"],
)
def test_a_planted_broken_link_is_caught(text: str) -> None:
    assert list(citations.broken_links(Source("docs/planted.md", text)))


@pytest.mark.parametrize("text", ["see [it](architecture.md#floors)", "[out](https://example.org/x)", "# Here\n[up](#here)"])
def test_a_sound_link_is_left_alone(text: str) -> None:
    assert list(citations.broken_links(Source("docs/planted.md", text))) == []


@pytest.mark.parametrize(
    "text", ["`sifilma/nowhere.py`", "`sifilma/kernel/db.py:no_such_name`", "`no_such_function_anywhere`", "`NoSuchClassAnywhere`"]
)
def test_a_planted_name_of_nothing_is_caught(text: str) -> None:
    assert list(citations.missing_in_documents(Source("docs/planted.md", text)))
    assert list(citations.missing_in_docstrings(Source("sifilma/planted.py", f'"""Says {text}."""\n')))


@pytest.mark.parametrize("text", ["(docs/nowhere.md)", "(docs/domain.md, rule 999)", "(DOMAIN.md, rule 2)", "(MANIFEST, File)"])
def test_a_planted_citation_of_no_document_is_caught(text: str) -> None:
    assert list(citations.missing_in_docstrings(Source("sifilma/planted.py", f'"""Says so {text}."""\n')))


def test_the_documents_are_really_read() -> None:
    found = {source.path for source in citations.documents()}
    assert {"README.md", "docs/README.md", "docs/manifest.md", "docs/domain.md", "CONTRIBUTING.md"} <= found
