"""The types of id numbers, names, phones, addresses and user names: what they take, in which spelling, and what they refuse."""

from __future__ import annotations

import pytest

from sifilma.identity import fields
from sifilma.identity.models import IdKind


@pytest.mark.parametrize(
    ("kind", "typed", "kept"),
    [
        ("nip", "19641231 199003 1 099", "196412311990031099"),
        ("nip", "196412311990031099\u00a0", "196412311990031099"),
        ("nip", "\uff11\uff19641231-199003-1-099", "196412311990031099"),
        ("nrp", "7903 0456", "79030456"),
        ("employee", "EMP 0012", "EMP0012"),
        ("employee", "ab12", "AB12"),
        ("employee", "9999990101900001", "9999990101900001"),  # 16 digits, but 99.99.99 is no district
        ("employee", "3520013201900001", "3520013201900001"),  # 32 January
        ("employee", "3520010101900001/7", "3520010101900001/7"),  # 17 digits
    ],
)
def test_an_id_number_has_one_spelling_however_it_is_typed(kind: str, typed: str, kept: str) -> None:
    assert fields.id_number(IdKind(kind), typed) == kept
    assert fields.id_number(IdKind(kind), kept) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "3520010101900001",
        "3520014101900001",
        "3520012902000001",
        "35.20.01.01.0190.0001",
        "3520 0101 0190 0001",
        "352001/010190/0001",
        "NIK-3520010101900001",
    ],
)
def test_a_nik_is_no_employee_number_however_it_is_grouped(typed: str) -> None:
    with pytest.raises(ValueError, match="NIK"):
        fields.id_number(IdKind.EMPLOYEE, typed)


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("nip", "3520010101900001"),
        ("nip", "1964123119900310991"),
        ("nip", "\u0661" * 18),  # Arabic-Indic digits stay what they are under NFKC
        ("nrp", "123"),
        ("employee", "a b?"),
        ("employee", "ß" * 41),
        ("employee", "straße"),
        ("employee", "\u200b"),
        ("employee", "A\u202e1"),
        ("employee", ""),
    ],
)
def test_a_number_of_another_form_is_refused(kind: str, typed: str) -> None:
    with pytest.raises(ValueError, match=r"number|NIP|NRP"):
        fields.id_number(IdKind(kind), typed)


@pytest.mark.parametrize(
    ("typed", "kept"), [("Oe", "Oe"), ("  Siti   Contoh ", "Siti Contoh"), ("M. Yusuf, S.H.", "M. Yusuf, S.H."), ("I\u0301da", "\u00cdda")]
)
def test_a_name_is_kept_with_single_spaces(typed: str, kept: str) -> None:
    assert fields.spelled(typed) == kept


@pytest.mark.parametrize("typed", ["\u3164", "A\u202eB", "A\u200bB", "\ufeffSiti", "\x07", "123", "..", "\ue000\ue001"])
def test_a_name_that_shows_nothing_or_hides_something_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="A name has"):
        fields.spelled(typed)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("0812.3456.7890", "+6281234567890"),
        ("+62 812 3456 7890", "+6281234567890"),
        ("62812-3456-7890", "+6281234567890"),
        ("(021) 345-6789", "+62213456789"),
        ("+1 212 555 0100", "+12125550100"),
        ("  ", ""),
    ],
)
def test_a_phone_number_is_kept_in_e164(typed: str, kept: str) -> None:
    assert fields.phone_number(typed) == kept


@pytest.mark.parametrize("typed", ["0812", "abc", "021 500 123 ext 4", "+62" + "8" * 30, "0812 3456 7890; 0813 3456 7890"])
def test_what_is_no_phone_number_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="phone number"):
        fields.phone_number(typed)


@pytest.mark.parametrize(
    ("typed", "kept"), [("umi@Magetan.GO.ID", "umi@magetan.go.id"), (" a.b+c@contoh.example ", "a.b+c@contoh.example"), ("", "")]
)
def test_an_address_is_kept_with_its_domain_in_lower_case(typed: str, kept: str) -> None:
    assert fields.email_address(typed) == kept


@pytest.mark.parametrize(
    "typed", ["siti@x,go.id", "umi", "a@b@c.id", "a b@c.id", "@c.id", "a@localhost", "umi@magetan..id", "umi@magetan.id\nBcc: x@y.id"]
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="e-mail address"):
        fields.email_address(typed)


def test_a_user_name_is_kept_in_lower_case() -> None:
    assert fields.user_name(" Magetan.Baru ") == "magetan.baru"
    for typed in ("ab", ".abc", "a b c", "umi\u200bcontoh", "ümi"):
        with pytest.raises(ValueError, match="user name"):
            fields.user_name(typed)
