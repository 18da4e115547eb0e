"""Write the made blocks of the documents from the code, or (`--check`) name those that differ; 1 if one does.

A made block lies between two lines: `<!-- made: NAME -->` and `<!-- /made -->`. What lies between them is replaced. The blocks are in
README.md and in every Markdown file below docs/; NOTICE.md has a script of its own (scripts/notice.py).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path, PurePath
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from babel.messages.pofile import read_po
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from config import settings
from sifilma.cards.models import CARD
from sifilma.fsck import catalogue
from sifilma.fsck.histories import CYCLES
from sifilma.fsck.registry import Invariant, Needs
from sifilma.identity.permissions import TABLE, Column, Grant
from sifilma.kernel.lifecycle import Cause, LifeCycle, Transition, mermaid
from sifilma.web import states

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^<!-- made: ([a-z ]+) -->\n(.*?)^<!-- /made -->$", re.MULTILINE | re.DOTALL)
MARKER = re.compile(r"^<!-- (?:made: .*|/made) -->$", re.MULTILINE)
SECTION = re.compile(r"^    # --- (.+) ---$")
SETTING = re.compile(r"^    ([a-z_]+): ")
LOOKS_AT = {Needs.SNAPSHOT: "the database", Needs.FILES: "files", Needs.HSM: "what is sealed"}
PLANTED_IN_FILES = "a file that is gone or changed (`tests/fsck/test_plants.py`)"


class Unusable(Exception):
    """A document has a marker that cannot be used, or the code lacks the words for a block."""


# --- tables ----------------------------------------------------------------------------------------------------------


def table(header: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a Markdown table. A `|` in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: object) -> str:
    """Return a text as Markdown code."""
    return f"`{text}`"


# --- permissions -----------------------------------------------------------------------------------------------------


def permissions() -> str:
    """Return the permission table: a row for each operation, a column for each capability or kind of organisation."""
    columns = list(Column)
    rows = ([code(operation), *(cell(granted.get(column)) for column in columns)] for operation, granted in TABLE.items())
    return table(["operation", *columns], rows)


def cell(grant: Grant | None) -> str:
    """Return a cell as `sifilma/identity/permissions.py` writes it: scope, `h` head, `p` people only, `!` fresh code; `-` never."""
    return f"{grant.scope}{'h' if grant.head else ''}{'p' if grant.people else ''}{'!' if grant.fresh else ''}" if grant else "-"


# --- life cycles -----------------------------------------------------------------------------------------------------


def card_life() -> str:
    """Return the diagram of a card's life."""
    return f"```mermaid\n{mermaid(CARD)}\n```"


def all_states() -> str:
    """Return a table of states for each kind of object: what each is called on the screen, and where it leads."""
    indonesian = screen_words()
    return "\n\n".join(_states_of(cycle, indonesian) for cycle in CYCLES)


def screen_words() -> dict[str, str]:
    """Return the Indonesian of the texts of `sifilma/web`, by their English."""
    with (ROOT / "sifilma" / "web" / "translations" / "id.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file, locale="id")}


def _states_of(cycle: LifeCycle, indonesian: dict[str, str]) -> str:
    name = states.thing(cycle.kind)
    title = f"**{name.replace('_', ' ')}**" + (f" ({indonesian[name]})" if name in indonesian else "") + f", table {code(cycle.table)}"
    rows = ([_state(cycle, state), indonesian[str(states.STATES[state].name)], _steps(cycle, state)] for state in _names(cycle))
    return title + "\n\n" + table(["state", "on screen", "leads to"], rows)


def _names(cycle: LifeCycle) -> list[str]:
    """Return the states in the order of their enumeration."""
    enumeration: Any = type(cycle.transitions[0].source)
    return [str(state) for state in enumeration]


def _state(cycle: LifeCycle, state: str) -> str:
    return code(state) + (" (first)" if state in cycle.initial else "")


def _steps(cycle: LifeCycle, state: str) -> str:
    steps = [_step(step) for step in cycle.transitions if step.source == state]
    return "; ".join(steps) if steps else "nothing: the end"


def _step(step: Transition) -> str:
    cause = "" if step.cause is Cause.PERSON else f"{step.cause}: " if step.entails else str(step.cause)
    words = cause + step.entails.replace(";", ",")
    return code(step.target) + (f" ({words})" if words else "")


# --- settings --------------------------------------------------------------------------------------------------------


def all_settings() -> str:
    """Return a table for each section of `config/settings.py`."""
    fields = settings.Settings.model_fields
    parts = (
        f"**{section[0].upper()}{section[1:]}**\n\n"
        + table(["setting", "environment variable", "default", "what it is"], (_setting(name, fields[name]) for name in names))
        for section, names in sections().items()
    )
    return "\n\n".join(parts)


def sections() -> dict[str, list[str]]:
    """Return the names of the settings by the section they stand in. Unusable where that is not every setting."""
    found: dict[str, list[str]] = {}
    for line in Path(settings.__file__).read_text(encoding="utf-8").splitlines():
        if section := SECTION.match(line):
            found[section[1]] = []
        elif (setting := SETTING.match(line)) and setting[1] in settings.Settings.model_fields and found:
            found[list(found)[-1]].append(setting[1])
    if [name for names in found.values() for name in names] != list(settings.Settings.model_fields):
        raise Unusable("config/settings.py: a setting stands in no section")
    return found


def _setting(name: str, field: FieldInfo) -> list[str]:
    if not field.description:
        raise Unusable(f"config/settings.py: {name} has no description")
    words = [field.description, *_bounds(field)]
    prefix = str(settings.Settings.model_config["env_prefix"])
    return [code(name), code(prefix + name.upper()), default(field), "; ".join(words)]


def _bounds(field: FieldInfo) -> Iterator[str]:
    """Say which values are accepted, where that is not every value of the type."""
    choices = choices_of(field.annotation)
    if choices:
        yield "one of " + ", ".join(code(choice) for choice in choices)
    least = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    most = next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)
    if least is not None and most is not None:
        yield f"{least} to {most}"
    elif least is not None:
        yield f"at least {least}"
    if SecretStr in kinds_of(field.annotation):
        yield "secret"


def choices_of(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a Literal; nothing for every other type, a tuple of Literals included."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def kinds_of(annotation: Any) -> tuple[Any, ...]:
    """Return the parts of a union, or the type itself."""
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


def default(field: FieldInfo) -> str:
    """Return the default as one writes it into the environment."""
    value: Any = field.default
    if value is None or value == "":
        return "none"
    if isinstance(value, PurePath | Enum | str):
        return code(value)
    return code(json.dumps(value))


# --- invariants ------------------------------------------------------------------------------------------------------


def invariants() -> str:
    """Return a table for each module of `sifilma/fsck`: the invariants, and the faults that tests plant for each."""
    by_module: dict[str, list[Invariant]] = {}
    for one in catalogue.invariants():
        by_module.setdefault(one.check.__module__, []).append(one)
    planted = planted_faults()
    count = sum(map(len, planted.values()))
    parts = [f"{sum(map(len, by_module.values()))} invariants; {count} faults planted by `tests/fsck/plants.py`."]
    for module, found in by_module.items():
        rows = ([code(one.name), one.sentence, LOOKS_AT[one.needs], _faults(one, planted)] for one in found)
        header = ["invariant", "what always holds", "looks at", "planted faults: what fsck must say of each"]
        parts.append(f"{code(module.replace('.', '/') + '.py')}\n\n{table(header, rows)}")
    return "\n\n".join(parts)


def planted_faults() -> dict[str, list[str]]:
    """Return what fsck must say of each planted fault, by invariant."""
    from tests.fsck.plants import PLANTS  # noqa: PLC0415  # found below ROOT, which `main` puts on the path

    found: dict[str, list[str]] = {}
    for one in PLANTS:
        found.setdefault(one.invariant, []).append(f"{code(one.kind)} … {one.says}")
    return found


def _faults(one: Invariant, planted: dict[str, list[str]]) -> str:
    said = list(dict.fromkeys(planted.get(one.name, [])))
    if not said and one.needs is not Needs.FILES:
        raise Unusable(f"{one.name}: tests/fsck/plants.py plants no fault for it")
    return "; ".join(said) if said else PLANTED_IN_FILES


# --- house rules -----------------------------------------------------------------------------------------------------


def house_rules() -> str:
    """Return a table of the rules that `tests/test_house.py` holds, each with the first paragraph of its docstring."""
    from tests.support.house import PYTHON_RULES, TEXT_RULES  # noqa: PLC0415  # see planted_faults
    from tests.support.rooms import TREE_RULES  # noqa: PLC0415

    kinds = (("every module", PYTHON_RULES), ("every text", TEXT_RULES), ("the tree", TREE_RULES))
    rows = ([code(rule.__name__), where, _first_paragraph(rule)] for where, rules in kinds for rule in rules)
    return table(["rule", "holds for", "what it says"], rows)


def _first_paragraph(rule: Any) -> str:
    words = (rule.__doc__ or "").strip()
    if not words:
        raise Unusable(f"{rule.__name__} has no docstring")
    return " ".join(words.split("\n\n")[0].split())


# --- documents -------------------------------------------------------------------------------------------------------

BLOCKS: dict[str, Callable[[], str]] = {
    "permissions": permissions,
    "card life": card_life,
    "states": all_states,
    "settings": all_settings,
    "invariants": invariants,
    "house rules": house_rules,
}


def documents(root: Path) -> list[Path]:
    """Return the documents that may have made blocks."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def current(text: str, name: str) -> str:
    """Return a document with its blocks as they must be. Unusable for an unknown block, or a marker without its other half."""
    if len(MARKER.findall(text)) != 2 * len(BLOCK.findall(text)):
        raise Unusable(f"{name}: a made block has no beginning or no end")
    return BLOCK.sub(lambda block: f"<!-- made: {block[1]} -->\n\n{_made(block[1], name)}\n\n<!-- /made -->", text)


def _made(block: str, document: str) -> str:
    if block not in BLOCKS:
        raise Unusable(f"{document}: there is no made block {block!r}; there are {', '.join(BLOCKS)}")
    return BLOCKS[block]()


def stale(text: str, wanted: str) -> list[str]:
    """Return the names of the blocks that differ."""
    pairs = zip(BLOCK.findall(text), BLOCK.findall(wanted), strict=True)
    return [name for (name, was), (_, made) in pairs if was != made]


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write the blocks, or check them. Return the exit status."""
    if str(ROOT) not in sys.path:  # the tests are no installed package
        sys.path.insert(0, str(ROOT))
    differs = False
    try:
        for path in documents(root):
            text, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
            wanted = current(text, name)
            if wanted != text and "--check" in arguments:
                differs = True
                print(f"{name}: not what the code says: {', '.join(stale(text, wanted))}. Run scripts/docs.py", file=sys.stderr)
            elif wanted != text:
                path.write_text(wanted, encoding="utf-8")
    except Unusable as fault:
        print(fault, file=sys.stderr)
        return 1
    return int(differs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
