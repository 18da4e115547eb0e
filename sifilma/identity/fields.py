"""What identifies and reaches a person: id number, name, phone, e-mail address, user name, password. One type each, for every door.

Forms, the API, files and commands validate with these types, so a value is kept in one spelling whatever way it came in.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import Annotated, Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationInfo, field_validator

from sifilma.identity.models import IdKind
from sifilma.kernel.schemas import AS_TYPED, Strict
from sifilma.kernel.text import is_hidden, say
from sifilma.regions.loading import district_codes

COUNTRY = "ID"
LONGEST_NUMBER = 40
_GROUPING = re.compile(r"[\s.\-]+")  # how people group the digits of a NIP or NRP
_DIGITS = {IdKind.NIP: 18, IdKind.NRP: 8}
_BETWEEN = re.compile(r"[./-]")  # the signs that an employee number may have between its letters and digits
_SIXTEEN = re.compile(r"(?<!\d)\d{16}(?!\d)")
_EMPLOYEE = re.compile(r"[A-Za-z0-9./-]{1,40}")
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{2,59}")
NIK_DIGITS = 16
NUMBER_WORDS = {
    IdKind.NIP: say("A NIP has 18 digits. A NIK (16 digits) is never taken here."),
    IdKind.NRP: say("An NRP has 8 digits."),
    IdKind.EMPLOYEE: say("An employee number has 1 to 40 letters, digits, dots, slashes or dashes."),
}
ID_WORDS = {IdKind.NIP: "NIP", IdKind.NRP: "NRP", IdKind.EMPLOYEE: "Nomor pegawai"}
"""What a number is called on papers."""
NO_NIK = say("This number looks like a NIK, which is never entered here.")


def id_number(kind: IdKind, typed: str) -> str:
    """Return a number in the one spelling in which it is kept and compared: NFKC, upper case, a NIP or NRP without grouping.

    Raise ValueError, with a sentence, for a number that is none of this kind and for one that looks like a NIK (docs/domain.md, rule 12).
    """
    plain = unicodedata.normalize("NFKC", typed)
    if kind in _DIGITS:
        number = _GROUPING.sub("", plain)
        fits = len(number) == _DIGITS[kind] and number.isascii() and number.isdigit()
    else:
        number = "".join(plain.split())
        fits = _EMPLOYEE.fullmatch(number) is not None  # ASCII only: the upper case of other letters may be several
    if not fits:
        raise ValueError(NUMBER_WORDS[kind])
    number = number.upper()
    # Between other signs too: `352014/010790/0001`, `NIK3520140107900001`.
    if any(map(is_nik, _SIXTEEN.findall(_BETWEEN.sub("", number)))):
        raise ValueError(NO_NIK)
    return number


def is_nik(digits: str) -> bool:
    """Return whether 16 digits have the form of a NIK: a known district (6), then a date of birth (6), then a serial number.

    The date is DDMMYY. For women the day is 40 higher (Permendagri 109/2019).
    """
    if len(digits) != NIK_DIGITS or not (digits.isascii() and digits.isdigit()):
        return False
    day, month, year = (int(digits[start : start + 2]) for start in (6, 8, 10))
    day -= 40 if day > 40 else 0
    return digits[:6] in district_codes() and any(_is_date(century + year, month, day) for century in (1900, 2000))


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def spelled(name: str) -> str:
    """Return a name in NFC with single spaces. Raise ValueError for one without a letter or with characters that show nothing."""
    plain = " ".join(unicodedata.normalize("NFC", name).split())
    if any(map(is_hidden, plain)):
        raise ValueError(say("A name has no invisible characters."))
    if not any(unicodedata.category(sign).startswith("L") for sign in plain):
        raise ValueError(say("A name has letters."))
    return plain


def phone_number(typed: str) -> str:
    """Return a phone number in E.164 (`+62…`), or an empty text. A number without country code is Indonesian."""
    if not typed.strip():
        return ""
    try:
        found = phonenumbers.parse(unicodedata.normalize("NFKC", typed), COUNTRY)
    except phonenumbers.NumberParseException:
        raise ValueError(say("This is no phone number. Write it as 0812 3456 7890 or +62 812 3456 7890.")) from None
    if not phonenumbers.is_possible_number(found) or found.extension:
        raise ValueError(say("This is no phone number. Write it as 0812 3456 7890 or +62 812 3456 7890."))
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


def email_address(typed: str) -> str:
    """Return an e-mail address with its domain in lower case, or an empty text. Nothing is asked of the network."""
    if not typed.strip():
        return ""
    try:
        return validate_email(typed.strip(), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        raise ValueError(say("This is no e-mail address. Write it as name@office.go.id.")) from None


def user_name_plain(typed: str) -> str:
    """Return a user name as it is compared, NFKC in lower case, whether or not there could be such a one."""
    return unicodedata.normalize("NFKC", typed).strip().casefold()


def user_name(typed: str) -> str:
    """Return a user name as it is kept. Raise ValueError for one with other characters than a-z, 0-9, dot, dash, underscore."""
    name = user_name_plain(typed)
    if not _USERNAME.fullmatch(name):
        raise ValueError(say("A user name has 3 to 60 of a-z, 0-9, dot, dash, underscore."))
    return name


PersonName = Annotated[str, Field(min_length=2, max_length=200), AfterValidator(spelled), AS_TYPED]
"""The name of a person or their office, as it is printed."""
Phone = Annotated[str, Field(max_length=40), AfterValidator(phone_number)]
"""A phone number, kept in E.164; empty if none is given."""
Email = Annotated[str, Field(max_length=200), AfterValidator(email_address)]
"""An e-mail address; empty if none is given."""
Username = Annotated[str, Field(max_length=60), AfterValidator(user_name)]
"""The name by which somebody signs in."""
Password = Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=256), AS_TYPED]
"""A password: the characters as typed, spaces at its ends included."""


class Identified(BaseModel):
    """The part of a schema that says by which number a person is known."""

    id_kind: IdKind
    id_number: Annotated[str, Field(min_length=1, max_length=2 * LONGEST_NUMBER)]

    @field_validator("id_number")
    @classmethod
    def _spell(cls, typed: str, found: ValidationInfo) -> str:
        # Without a kind, that is the fault that is reported.
        kind: Any = found.data.get("id_kind")
        return typed if kind is None else id_number(kind, typed)


class SignatoryIn(Identified, Strict):
    """Who signs a paper: name, id number and official position, as they are printed on it."""

    name: PersonName
    position: str = Field(min_length=2, max_length=200)
