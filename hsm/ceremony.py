"""Make tokens and keys at the key ceremony, and check the attributes of the keys that were made."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from functools import partial

from hsm import softhsm
from hsm.errors import HSMMisuse, HSMUnavailable
from hsm.keys import KeyInfo, KeyPlan
from hsm.records import KeyRecord
from hsm.token import HSM, Operations


def init_token(hsm: HSM, so_pin: str, tool: str = "softhsm2-util") -> bool:
    """Make the SoftHSM token if it does not exist. Return True if it was made.

    Real HSMs are initialised with their vendor's tool, because C_InitToken needs a slot that only this tool can choose. The PINs are
    passed as arguments of the process. That is acceptable here: SoftHSM stands in for an HSM, and its PIN is in the settings anyway.
    Raise HSMUnavailable if the tool cannot be run or refuses.
    """
    if hsm.module.has_token(hsm.config):
        return False
    command = [tool, "--init-token", "--free", "--label", hsm.config.token_label, "--so-pin", so_pin, "--pin", hsm.config.pin()]
    own = {} if hsm.config.configuration is None else {softhsm.CONFIGURATION: str(hsm.config.configuration)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | own)  # noqa: S603
    except OSError as error:
        raise HSMUnavailable(f"{tool} cannot be run: {type(error).__name__}", 30.0) from None
    if done.returncode:
        raise HSMUnavailable(f"{tool} could not make the token: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    hsm.close()  # the library lists the slots when it starts: it sees a token made by another process only after a new start
    return True


def create_keys(hsm: HSM, plan: Sequence[KeyPlan]) -> list[KeyInfo]:
    """Make the keys of `plan` that are missing, read all of them back and return them in the order of `plan`.

    Raise HSMMisuse if a key's attributes or its CKA_ID differ from what the plan demands.
    """
    for key in plan:
        # One call per key: `run` may run its function twice, and `_create` then finds the key that the first run made.
        hsm.run(partial(_create, key))
    found = hsm.keys(tuple(plan))
    wrong = {info.label: faults for info, key in zip(found, plan, strict=True) if (faults := _faults(info, key))}
    if wrong:
        raise HSMMisuse(f"keys with wrong attributes: {wrong}")
    return found


def _faults(info: KeyInfo, plan: KeyPlan) -> list[str]:
    return info.faults + (["ID"] if info.id != plan.id else [])


def describe(hsm: HSM) -> list[KeyRecord]:
    """Return the records of all keys of this project on the token, by label, as they are read back now."""
    return hsm.run(lambda do: do.describe_all())


def destroy(hsm: HSM, label: str) -> None:
    """Destroy a key for good. What needs it cannot be made or opened any more: the caller has seen that nothing does."""
    hsm.run(lambda do: do.session.destroy(label))


def _create(plan: KeyPlan, do: Operations) -> None:
    if not do.session.exists(plan):
        do.session.generate(plan)
