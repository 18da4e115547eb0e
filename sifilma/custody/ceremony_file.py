"""The file of a key ceremony: what is to be made on which token, and by whom. It is reviewed before, and the ceremony does what it says.

It says nothing that this code and these settings do not say: a file that differs from them is refused with the first difference.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.settings import Settings
from hsm.errors import HSMError
from hsm.keys import FORM, ROOT_PLAN, SIGNING_PLAN, KeyKind, KeyPlan, carried_plan, wanted_of
from hsm.records import CARRIED, GENERATED, METHODS

NEEDED = 2
"""Custodians of a ceremony."""
CODE = 12
"""Characters of the file's SHA-256 that each custodian types: they say which file they hold in hand."""


class CeremonyRefused(HSMError):
    """A ceremony, or an act on a key, that cannot be done as it was asked for. The sentence is for whoever typed the command."""


@dataclass(frozen=True)
class CeremonyFile:
    """A reviewed file. `sha256` is that of its bytes, in hex."""

    path: Path
    sha256: str
    custodians: tuple[str, ...]

    @property
    def rehearsal(self) -> Path:
        """Return where it is noted that this file was rehearsed."""
        return self.path.with_name(self.path.name + ".rehearsed")

    @property
    def is_rehearsed(self) -> bool:
        """Return whether exactly this file was rehearsed."""
        try:
            return bool(json.loads(self.rehearsal.read_text())["sha256"] == self.sha256)
        except (OSError, ValueError, KeyError, TypeError):
            return False


def plan(settings: Settings, custodians: Sequence[str]) -> str:
    """Return the text of a file for these settings. Raise CeremonyRefused unless two different custodians are named."""
    if len({name.strip().lower() for name in custodians}) != len(custodians) or len(custodians) < NEEDED:
        raise CeremonyRefused("A ceremony has two different custodians: --custodian NAME --custodian NAME.")
    told = {
        "what": "SI-FILMA key ceremony",
        "version": 1,
        "kind": settings.env,
        "issuer": settings.issuer,
        "module": settings.hsm_module,
        "custodians": list(custodians),
        "tokens": [
            _token(settings.hsm_token, settings.hsm_token_serial, SIGNING_PLAN),
            _token(settings.root_token, None, ROOT_PLAN),
            *([_second(settings)] if settings.second_hsm_token else []),
        ],
    }
    return json.dumps(told, indent=2) + "\n"


def _token(label: str, serial: str | None, keys: Sequence[KeyPlan]) -> dict[str, Any]:
    return {"label": label, "serial": serial, "keys": [_key(key) for key in keys]}


def _second(settings: Settings) -> dict[str, Any]:
    """Return what the second HSM gets: signing keys of its own, and of the others a version that both hold."""
    own = [plan for plan in SIGNING_PLAN if plan.kind is KeyKind.EC_SIGN]
    shared = [_key(carried_plan(plan)) | {"label": f"the next version of {plan.label}"} for plan in SIGNING_PLAN if plan not in own]
    told = _token(settings.second_hsm_token, settings.second_hsm_token_serial, own)
    return told | {"module": settings.second_hsm_module or settings.hsm_module, "keys": [*told["keys"], *shared]}


def _key(key: KeyPlan) -> dict[str, Any]:
    return {
        "label": key.label,
        "id": key.id.hex(),
        "kind": key.kind.value,
        "form": {name: list(values) for name, values in FORM[key.kind].items()},
        "attributes": wanted_of(key.kind, carried=key.carried) | {"MODIFIABLE": False},
        "origin": CARRIED if key.carried else GENERATED,
        "check_value": METHODS[key.kind],
    }


def write(path: Path, text: str) -> str:
    """Write a new file. Return its SHA-256 in hex. Raise CeremonyRefused if there is one."""
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError as there:
        raise CeremonyRefused(f"{path} exists: a reviewed file is not written over.") from there
    return hashlib.sha256(text.encode()).hexdigest()


def read(path: Path, settings: Settings) -> CeremonyFile:
    """Return a reviewed file. Raise CeremonyRefused if it is no such file, or says something else than this code and these settings do."""
    try:
        data = path.read_bytes()
        told = json.loads(data)
        custodians = tuple(str(name) for name in told["custodians"])
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise CeremonyRefused(f"{path} is no file of a ceremony: `sifilma hsm ceremony plan` writes one.") from broken
    wanted = json.loads(plan(settings, custodians))
    if (found := next(_differences(told, wanted, ""), None)) is not None:
        raise CeremonyRefused(f"{path} is not for this code and these settings: {found}.")
    return CeremonyFile(path, hashlib.sha256(data).hexdigest(), custodians)


def _differences(told: Any, wanted: Any, place: str) -> Iterator[str]:
    """Yield where two documents differ, in words."""
    if isinstance(told, Mapping) and isinstance(wanted, Mapping):
        for name in [*wanted, *(name for name in told if name not in wanted)]:
            yield from _differences(told.get(name), wanted.get(name), f"{place}.{name}".lstrip("."))
    elif isinstance(told, list) and isinstance(wanted, list) and len(told) == len(wanted):
        for number, (one, other) in enumerate(zip(told, wanted, strict=True)):
            yield from _differences(one, other, f"{place}[{number}]")
    elif told != wanted:
        yield f"{place} is {json.dumps(told)}, not {json.dumps(wanted)}"


def note_rehearsal(file: CeremonyFile, moment: str) -> None:
    """Note beside a file that it was rehearsed."""
    with tempfile.NamedTemporaryFile("w", dir=file.path.parent, delete=False) as new:
        json.dump({"sha256": file.sha256, "at": moment}, new)
    Path(new.name).replace(file.rehearsal)
