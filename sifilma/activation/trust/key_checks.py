"""The check values of the secret keys, recorded at the ceremony: a token with another key is noticed before anything is made with it.

They are a file under `home/trust`, beside the keyset, and stand in the ceremony's entry in the record of acts. A check value tells equal
keys from different ones and nothing about a key (`hsm/session.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from config.settings import Settings
from hsm import HSM
from hsm.errors import HSMKeyChanged
from hsm.keys import secret_kind
from hsm.token import Operations

FILE = "key-checks.json"
_loaded: dict[Path, tuple[int, Mapping[str, str]]] = {}


def load(settings: Settings) -> Mapping[str, str]:
    """Return the recorded check values by label, empty before the first ceremony. Raise HSMKeyChanged if the file cannot be used.

    A process reads the file again when it has changed.
    """
    path = settings.trust / FILE
    try:
        changed = path.stat().st_mtime_ns
        known = _loaded.get(path)
        if known is None or known[0] != changed:
            known = _loaded[path] = (changed, {str(label): str(value) for label, value in json.loads(path.read_text()).items()})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as broken:
        raise HSMKeyChanged(f"{FILE} cannot be read, so no key can be compared") from broken
    return known[1]


def record(settings: Settings, signing: HSM) -> None:
    """Record the secret keys on the token that are not recorded yet. Raise HSMKeyChanged if one differs from what is recorded."""
    before = load(settings)
    values = signing.run(_values)
    wrong = sorted(label for label, value in values.items() if before.get(label, value) != value)
    if wrong:
        raise HSMKeyChanged(f"another token: {', '.join(wrong)} on it is another key than that of the ceremony")
    if values.keys() <= before.keys():
        return
    settings.trust.mkdir(parents=True, exist_ok=True)
    temporary = settings.trust / f".{FILE}.new"
    temporary.write_text(json.dumps({**before, **values}, indent=2, sort_keys=True) + "\n")
    temporary.replace(settings.trust / FILE)


def _values(do: Operations) -> dict[str, str]:
    return {label: do.check_value(label) for label, _, _ in do.session.labels() if secret_kind(label) is not None}
