"""Every text of the screens has its Indonesian; refusals of services and schemas are said in the language somebody reads."""

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
from sifilma.cards.identity import normalise_uid, perso_warning
from sifilma.cards.models import CARD, Card
from sifilma.cards.present import units_out
from sifilma.cards.schemas import UnitIn
from sifilma.kernel import errors
from sifilma.kernel.errors import Conflict, SifilmaError
from sifilma.kernel.text import Wrong, joined, say
from sifilma.web.states import KINDS, STATES, THINGS
from sifilma.web.texts import VALIDATION, translate, validation_text
from tests.support import scripts
from tests.support.house import ROOT
from tests.support.world import World

TEXTS = scripts.load("texts")


def indonesian(world: World, sentence: str) -> str:
    with world.app.test_request_context("/"):
        return translate(sentence)


# --- the catalogues --------------------------------------------------------------------------------------------------


def test_every_text_of_today_is_translated() -> None:
    assert [wrong for path in TEXTS.catalogues() for wrong in TEXTS.check(path)] == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A package of its own, all of whose texts are translated."""
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
def test_a_text_nobody_translated_is_named(copy: Path, module: str, text: str) -> None:
    (copy / "planted.py").write_text(module)
    found = TEXTS.check(copy / "translations" / "id.po")
    assert f"copied: {text}" in found
    assert "copied: the catalogue is not of today's texts: make texts" in found


def test_a_text_of_a_template_is_named(copy: Path) -> None:
    (copy / "templates").mkdir(exist_ok=True)
    (copy / "templates" / "planted.html").write_text("{{ _('A planted text') }}")
    assert "copied: A planted text" in TEXTS.check(copy / "translations" / "id.po")


def test_a_lost_value_a_guess_and_a_text_of_yesterday_are_named(copy: Path) -> None:
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
    """Two packages that say the same in English say the same in Indonesian: the catalogues are one at run time."""
    said: dict[Any, set[Any]] = {}
    for path in TEXTS.catalogues():
        for message in TEXTS.known(path):
            if message.id:
                said.setdefault(message.id, set()).add(message.string)
    assert {text: found for text, found in said.items() if len(found) > 1} == {}


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_sentence_is_itself_to_the_api_and_translated_on_the_screen(house: World) -> None:
    sentence = say("The card is %(state)s.", state="lost")
    assert sentence == "The card is lost."
    assert indonesian(house, sentence) == "Kartu SAM berstatus “Hilang”."
    with house.app.test_request_context("/", headers={"Cookie": "bahasa=en"}):
        assert translate(sentence) == "The card is Lost."


def test_sentences_within_sentences_numbers_roles_and_kinds_are_translated(house: World) -> None:
    hint = say("%(left)s tries are left.", left=4)
    assert indonesian(house, say("The token is not this card's. %(hint)s", hint=hint)).endswith("Tersisa 4 percobaan.")
    words = joined("; ", [say("missing columns: %(names)s", names="pcid"), say("unknown columns: %(names)s", names="x, y")])
    assert words == "missing columns: pcid; unknown columns: x, y"
    assert indonesian(house, words) == "kolom yang kurang: pcid; kolom yang tidak dikenal: x, y"
    far = say("The position lies %(distance)s km from %(regency)s: check it, or give the reason.", distance=3.5, regency="Magetan")
    assert "3.5 km" in far
    assert "3,5 km dari Magetan" in indonesian(house, far)
    assert indonesian(house, say("Choose from: %(roles)s.", roles="head, staff")) == "Pilih dari: Kepala, Petugas."


def test_a_step_the_table_does_not_have_is_refused_in_words(house: World) -> None:
    with pytest.raises(Conflict) as refused:
        CARD.require(Card(state="destroyed"), "active")
    assert refused.value.detail == "A card that is destroyed cannot become active."
    told = indonesian(house, refused.value.detail)
    assert told == "Objek ini (kartu SAM) berstatus “Dimusnahkan” sehingga tidak dapat menjadi “Aktif”."


def test_what_is_typed_is_never_taken_for_a_template_or_a_text(house: World) -> None:
    """Values are put in last: a `%` in a file's name or a unit called `Active` stays what it is."""
    typed = say("The photo %(name)s is damaged.", name="100%(name)s Active.jpg")
    assert indonesian(house, typed) == "Foto 100%(name)s Active.jpg rusak."
    assert indonesian(house, say("The buyer has registered no unit %(number)s.", number="Active")).endswith("Active.")


def test_a_value_error_of_an_identifier_is_translated_with_what_it_names(house: World) -> None:
    with pytest.raises(ValueError, match="A card UID has 16 hexadecimal digits") as refused:
        normalise_uid("12")
    assert indonesian(house, refused.value.args[0]) == "UID kartu SAM terdiri atas 16 angka heksadesimal"


def test_a_warning_is_still_a_sentence_behind_its_schema(house: World) -> None:
    [number] = house.units("magetan.kepala", 1)
    house.sql("UPDATE unit SET sam_perso = 'KURANG' WHERE hardware_number = :number", number=number)
    with house.context() as ctx:
        from sqlalchemy import select

        from sifilma.cards.models import Unit

        [shown] = units_out(ctx, [ctx.session.scalars(select(Unit).where(Unit.hardware_number == number)).one()])
    assert shown.warnings == [perso_warning("KURANG")]
    assert indonesian(house, shown.warnings[0]) == "SAM Perso 'KURANG' terdiri atas 6 karakter, seharusnya 16. Periksa kartunya."
    assert '"warnings":["SAM Perso' in shown.model_dump_json()


def test_every_refusal_has_a_title_in_indonesian(house: World) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SifilmaError)]
    assert len(kinds) > 8
    assert [kind for kind in kinds if indonesian(house, kind.title) == kind.title] == []


def test_every_state_kind_and_thing_has_a_word_of_its_own(house: World) -> None:
    with house.app.test_request_context("/"):
        shown = [str(shown.name) for shown in STATES.values()] + [str(word) for word in (*KINDS.values(), *THINGS.values())]
        with force_locale("en"):
            english = [str(shown.name) for shown in STATES.values()] + [str(word) for word in (*KINDS.values(), *THINGS.values())]
    same = {one for one, other in zip(shown, english, strict=True) if one == other}
    assert same <= {"Auditor", "Operator", "NIP", "NRP"}


# --- schemas ---------------------------------------------------------------------------------------------------------

WRONG: tuple[Any, ...] = (None, "", "x", "x" * 5000, -1, 0, 10**12, 1.5, float("nan"), True, [], ["x"], {}, {"x": 1}, "2026-13-40", b"\xff")


def schemas() -> list[type[BaseModel]]:
    """Every schema input is validated with."""
    found: dict[str, type[BaseModel]] = {}
    for module in pkgutil.walk_packages(sifilma.__path__, "sifilma."):
        if module.name.endswith(".schemas") or module.name.startswith("sifilma.api."):
            for name, kind in vars(importlib.import_module(module.name)).items():
                if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__module__.startswith("sifilma"):
                    found[f"{kind.__module__}.{name}"] = kind
    return list(found.values())


def faults(schema: type[BaseModel]) -> list[Any]:
    """What is found wrong with each field filled in wrongly in every way, with nothing at all, with too much, with no object."""
    tries: list[Any] = [{}, {"planted": 1}, [], *({name: value} for name in schema.model_fields for value in WRONG)]
    found = []
    for given in tries:
        try:
            schema.model_validate(given)
        except ValidationError as refused:
            found += refused.errors(include_url=False)
    return found


def test_no_schema_speaks_english_on_a_page(house: World) -> None:
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


def test_a_fault_keeps_its_english_for_the_api_and_never_repeats_what_was_typed(house: World) -> None:
    with pytest.raises(ValidationError) as refused:
        ActivationIn.model_validate({"token": "x" * 500, "sam_uid": "12"})
    with house.app.test_request_context("/"):
        for error in refused.value.errors(include_url=False):
            assert Wrong(error) == error["msg"].removeprefix("Value error, ")
            assert "xxx" not in validation_text(error)


def test_a_limit_is_named(house: World) -> None:
    with pytest.raises(ValidationError) as refused:
        UnitIn.model_validate({"hardware_number": "A-1", "model": "M", "function": "R", "sam_perso": "x" * 300})
    with house.app.test_request_context("/"):
        assert validation_text(refused.value.errors()[0]).startswith("Paling banyak ")
