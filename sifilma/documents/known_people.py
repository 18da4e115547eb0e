"""People who were named on earlier papers of an organisation, to be chosen instead of typed anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sifilma.kernel.errors import Invalid
from sifilma.web.forms import Form

MOST = 20
KNOWN = "known"
"""The name of the choice in a group of the form."""


@dataclass(frozen=True)
class KnownPerson:
    """The particulars of a person as they stand on a paper. `office` is empty where the paper has none."""

    name: str
    id_kind: str
    id_number: str
    position: str
    office: str = ""

    @property
    def key(self) -> str:
        """Return the value of the choice."""
        return f"{self.id_kind}:{self.id_number}"

    @property
    def particulars(self) -> dict[str, str]:
        """Return what is filled into the fields of a group, by their names."""
        found = {"name": self.name, "id_kind": self.id_kind, "id_number": self.id_number, "position": self.position}
        return found | ({"office": self.office} if self.office else {})


def distinct(people: Iterable[KnownPerson]) -> list[KnownPerson]:
    """Return each person once, as they were named first in this order; at most MOST."""
    found: dict[str, KnownPerson] = {}
    for one in people:
        found.setdefault(one.key, one)
    return list(found.values())[:MOST]


def fill(form: Form, group: str, people: Sequence[KnownPerson]) -> None:
    """Fill the fields of a group with the person who was chosen in it, if anybody was. Raise Invalid for a person who is not among them."""
    key = form.values.pop(f"{group}.{KNOWN}", "")
    if not key:
        return
    found = next((one for one in people if one.key == key), None)
    if found is None:
        name = f"{group}.{KNOWN}"
        raise Invalid.field(name, "This person is not on your earlier papers: fill in the fields.")
    for name, value in found.particulars.items():
        form.values[f"{group}.{name}"] = value
