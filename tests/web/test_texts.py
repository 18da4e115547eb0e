"""Every text of the pages is translated; refusals of services and schemas are in the reader's language."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
from pathlib import Path
from typing import Any

import pytest
from flask_babel import force_locale
from pydantic import BaseModel, ValidationError

import sifilma
from sifilma.activation.schemas import ActivationIn
from sifilma.cards.identifiers import normalise_uid, perso_warning
from sifilma.cards.models import CARD, Card
from sifilma.cards.schemas import UnitIn
from sifilma.cards.serializers import units_out
from sifilma.kernel import errors
from sifilma.kernel.errors import Conflict, SifilmaError
from sifilma.kernel.text import Wrong, joined, say
from sifilma.web.states import KINDS, STATES, THINGS
from sifilma.web.texts import VALIDATION, translate, validation_text
from tests.audit.row_changes import change_unit
from tests.support import scripts
from tests.support.house import ROOT
from tests.support.world import World

TEXTS = scripts.load("texts")


def indonesian(world: World, sentence: str) -> str:
    with world.app.test_request_context("/"):
        return translate(sentence)


# --- the catalogues --------------------------------------------------------------------------------------------------


def test_every_text_of_the_code_is_translated() -> None:
    assert [wrong for path in TEXTS.catalogues() for wrong in TEXTS.check(path)] == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy a package whose texts are all translated; return its folder."""
    package = tmp_path / "sifilma" / "copied"
    shutil.copytree(ROOT / "sifilma" / "handover", package, ignore=shutil.ignore_patterns("__pycache__"))
    assert TEXTS.check(package / "translations" / "id.po") == []
    return package


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("from flask_babel import gettext as _\n_('A planted text')\n", "A planted text"),
        ("raise Conflict('A planted text')\n", "A planted text"),
        ("raise Invalid.field(field, 'A planted text')\n", "A planted text"),
        ("raise Conflict(say('A planted %(state)s', state=state))\n", "A planted %(state)s"),
        ("hint = say('A planted text') if x else say('Another')\n", "A planted text"),
        ("yield wrong(field, 'Planted A' if x else 'Planted B')\n", "Planted A"),
        ("RowError(row, column, 'A planted text')\n", "A planted text"),
    ],
)
def test_an_untranslated_text_is_named(copy: Path, module: str, text: str) -> None:
    (copy / "planted.py").write_text(module)
    found = TEXTS.check(copy / "translations" / "id.po")
    assert f"copied: {text}" in found
    assert "copied: the catalogue is not of today's texts: make texts" in found


def test_an_untranslated_text_of_a_template_is_named(copy: Path) -> None:
    (copy / "templates").mkdir(exist_ok=True)
    (copy / "templates" / "planted.html").write_text("{{ _('A planted text') }}")
    assert "copied: A planted text" in TEXTS.check(copy / "translations" / "id.po")


def test_a_missing_placeholder_a_fuzzy_text_and_an_obsolete_text_are_named(copy: Path) -> None:
    path = copy / "translations" / "id.po"
    (copy / "planted.py").write_text("say('%(count)s planted', count=1)\nsay('Planted guess')\n")
    planted = """
#, python-format
msgid "%(count)s planted"
msgstr "%(number)s ditanam"

#, fuzzy
msgid "Planted guess"
msgstr "Tebakan"

msgid "Planted yesterday"
msgstr "Kemarin"
"""
    path.write_text(path.read_text() + planted)
    assert {
        "copied: %(count)s planted (placeholders differ)",
        "copied: Planted guess",
        "copied: the catalogue is not of today's texts: make texts",
    } <= set(TEXTS.check(path))
    TEXTS.renew(path)
    assert "Planted yesterday" not in path.read_text()


def test_one_english_text_has_one_translation() -> None:
    """Equal English texts of two packages have equal translations, because the catalogues are merged at run time."""
    said: dict[Any, set[Any]] = {}
    for path in TEXTS.catalogues():
        for message in TEXTS.known(path):
            if message.id:
                said.setdefault(message.id, set()).add(message.string)
    assert {text: found for text, found in said.items() if len(found) > 1} == {}


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_sentence_is_english_in_the_api_and_translated_on_the_page(house: World) -> None:
    sentence = say("The card is %(state)s.", state="lost")
    assert sentence == "The card is lost."
    assert indonesian(house, sentence) == "Kartu SAM berstatus “Hilang”."
    with house.app.test_request_context("/", headers={"Cookie": "bahasa=en"}):
        assert translate(sentence) == "The card is Lost."


def test_values_within_sentences_are_translated(house: World) -> None:
    hint = say("%(left)s tries are left.", left=4)
    assert indonesian(house, say("The token is not this card's. %(hint)s", hint=hint)).endswith("Tersisa 4 percobaan.")
    words = joined(", ", [say("Hardware number"), say("Village code")])
    assert words == "Hardware number, Village code"
    assert indonesian(house, words) == "Nomor mesin, Kode desa/kelurahan"
    far = say("The position lies %(distance)s km from %(regency)s: check it, or give the reason.", distance=3.5, regency="Magetan")
    assert "3.5 km" in far
    assert "3,5 km dari Magetan" in indonesian(house, far)
    assert indonesian(house, say("Choose from: %(roles)s.", roles="head, staff")) == "Pilih dari: Kepala, Petugas."


def test_a_step_that_the_table_does_not_allow_is_refused_with_a_reason(house: World) -> None:
    with pytest.raises(Conflict) as refused:
        CARD.require(Card(state="destroyed"), "active")
    assert refused.value.detail == "A card that is destroyed cannot become active."
    told = indonesian(house, refused.value.detail)
    assert told == "Objek ini (kartu SAM) berstatus “Dimusnahkan” sehingga tidak dapat menjadi “Aktif”."


def test_input_is_not_interpreted_as_a_template_or_a_text(house: World) -> None:
    """Values are inserted last: a `%` in a file name or a unit called `Active` stays unchanged."""
    typed = say("The photo %(name)s is damaged.", name="100%(name)s Active.jpg")
    assert indonesian(house, typed) == "Foto 100%(name)s Active.jpg rusak."
    assert indonesian(house, say("%(number)s has a card already.", number="Active")).startswith("Active ")


def test_a_value_error_of_an_identifier_is_translated_with_its_value(house: World) -> None:
    with pytest.raises(ValueError, match="A card UID has 16 hexadecimal digits") as refused:
        normalise_uid("12")
    assert indonesian(house, refused.value.args[0]) == "UID kartu SAM terdiri atas 16 karakter heksadesimal (0–9, A–F)"


def test_a_warning_remains_translatable_in_its_schema(house: World) -> None:
    [number] = house.units("magetan.kepala", 1)
    change_unit(house, number, sam_perso="KURANG")
    with house.context() as ctx:
        from sqlalchemy import select

        from sifilma.cards.models import Unit

        [shown] = units_out(ctx, [ctx.session.scalars(select(Unit).where(Unit.hardware_number == number)).one()])
    assert shown.warnings == [perso_warning("KURANG")]
    assert indonesian(house, shown.warnings[0]) == "SAM Perso 'KURANG' terdiri atas 6 karakter, seharusnya 16. Periksa kartunya."
    assert '"warnings":["SAM Perso' in shown.model_dump_json()


def test_every_kind_of_refusal_has_an_indonesian_title(house: World) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SifilmaError)]
    assert len(kinds) > 8
    assert [kind for kind in kinds if indonesian(house, kind.title) == kind.title] == []


def test_every_state_and_kind_has_a_text_of_its_own(house: World) -> None:
    with house.app.test_request_context("/"):
        shown = [str(shown.name) for shown in STATES.values()] + [str(word) for word in (*KINDS.values(), *THINGS.values())]
        with force_locale("en"):
            english = [str(shown.name) for shown in STATES.values()] + [str(word) for word in (*KINDS.values(), *THINGS.values())]
    same = {one for one, other in zip(shown, english, strict=True) if one == other}
    assert same <= {"Auditor", "Operator", "NIP", "NRP", "manifest", "unit"}


# --- schemas ---------------------------------------------------------------------------------------------------------

WRONG: tuple[Any, ...] = (None, "", "x", "x" * 5000, -1, 0, 10**12, 1.5, float("nan"), True, [], ["x"], {}, {"x": 1}, "2026-13-40", b"\xff")


def schemas() -> list[type[BaseModel]]:
    """Return every schema that validates input."""
    found: dict[str, type[BaseModel]] = {}
    for module in pkgutil.walk_packages(sifilma.__path__, "sifilma."):
        if module.name.endswith(".schemas") or module.name.startswith("sifilma.api."):
            for name, kind in vars(importlib.import_module(module.name)).items():
                if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__module__.startswith("sifilma"):
                    found[f"{kind.__module__}.{name}"] = kind
    return list(found.values())


def faults(schema: type[BaseModel]) -> list[Any]:
    """Return the faults of a schema: for each field with each wrong value, for an empty object, for an extra field, for no object."""
    tries: list[Any] = [{}, {"planted": 1}, [], *({name: value} for name in schema.model_fields for value in WRONG)]
    found = []
    for given in tries:
        try:
            schema.model_validate(given)
        except ValidationError as refused:
            found += refused.errors(include_url=False)
    return found


def test_no_message_of_a_schema_is_english_on_a_page(house: World) -> None:
    english: set[str] = set()
    kinds: set[str] = set()
    with house.app.test_request_context("/"):
        for schema in schemas():
            for error in faults(schema):
                kinds.add(error["type"])
                told = validation_text(error)
                with force_locale("en"):
                    if validation_text(error) == told or told == error["msg"]:
                        english.add(f"{schema.__name__}: {error['type']}: {told}")
                assert translate(Wrong(error)) == told
    assert sorted(english) == []
    assert kinds - {"value_error"} <= set(VALIDATION)
    assert len(kinds) > 12


def test_a_fault_is_english_in_the_api_and_does_not_repeat_the_input(house: World) -> None:
    with pytest.raises(ValidationError) as refused:
        ActivationIn.model_validate({"token": "x" * 500, "sam_uid": "12"})
    with house.app.test_request_context("/"):
        for error in refused.value.errors(include_url=False):
            assert Wrong(error) == error["msg"].removeprefix("Value error, ")
            assert "xxx" not in validation_text(error)


def test_a_message_names_the_limit(house: World) -> None:
    with pytest.raises(ValidationError) as refused:
        UnitIn.model_validate({"hardware_number": "A-1", "model": "M", "function": "R", "sam_perso": "x" * 300})
    with house.app.test_request_context("/"):
        assert validation_text(refused.value.errors()[0]).startswith("Paling banyak ")
