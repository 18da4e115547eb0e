"""The columns of all tables: each is understood under the words that people read, in both languages, and under no other's."""

from __future__ import annotations

from collections import Counter

import pytest

from sifilma.activation.bulk.job_sheets import ACTIVATIONS
from sifilma.cards.import_table import KEYS, UNITS
from sifilma.documents.tables.columns import EXAMPLE, EXAMPLES, HINT, MARKS, NOTES, REFERENCE, Format, Kind, headings
from sifilma.documents.tables.headings import key
from sifilma.oversight.reference import TABLES
from sifilma.personalisation.batch import BATCH
from sifilma.personalisation.results import RESULTS
from sifilma.web.texts import translate
from tests.support.world import World

FORMS = [UNITS, KEYS, BATCH, RESULTS, ACTIVATIONS, *(table.form for table in TABLES.values())]
NAMES = [str(form.title) for form in FORMS]


def indonesian(world: World, text: str) -> str:
    with world.app.test_request_context("/"):
        return translate(text)


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_headings_and_choices_are_understood_as_templates_write_them(sqlite_world: World, form: Format) -> None:
    for column in (*form.columns, NOTES):
        for word in (column.heading, indonesian(sqlite_world, column.heading), column.heading.upper()):
            assert form.keys[key(word)] == column.name, word
        for value, words in column.choices.items():
            for word in (value, words[0], indonesian(sqlite_world, words[0])):
                assert column.value_of(word) == value, word


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_no_two_columns_share_a_heading(form: Format) -> None:
    found = Counter(found for column in (*form.columns, NOTES) for found in {key(heading) for heading in headings(column)})
    assert [heading for heading, count in found.items() if count > 1] == []


def test_the_marks_of_explaining_rows_are_known_in_both_languages(sqlite_world: World) -> None:
    for mark in (EXAMPLE, HINT, REFERENCE):
        assert mark.casefold() in MARKS
        assert indonesian(sqlite_world, mark).casefold() in MARKS
    assert (EXAMPLE.casefold(), indonesian(sqlite_world, EXAMPLE).casefold()) == EXAMPLES


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_each_column_says_what_belongs_there(form: Format) -> None:
    for column in form.columns:
        assert column.expected, column.name
        assert column.example or not column.required, column.name
        assert bool(column.choices) == (column.kind is Kind.CHOICE), column.name


def test_results_understand_the_words_of_the_desk() -> None:
    outcome = RESULTS["outcome"]
    assert [outcome.value_of(word) for word in ("Berhasil", "GAGAL", " gagal ", "sukses")] == [
        "personalised",
        "failed",
        "failed",
        "personalised",
    ]
    assert outcome.value_of("entah") == "entah"
