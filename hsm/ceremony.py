"""The ceremony: making tokens and keys once, and checking what was made."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import partial

from hsm.errors import HSMMisuse, HSMUnavailable
from hsm.keys import KeyInfo, KeyPlan
from hsm.token import HSM, Operations


def init_token(hsm: HSM, so_pin: str, tool: str = "softhsm2-util") -> bool:
    """Make the SoftHSM token if it is not there; whether it was made. Real HSMs are initialised with their vendor's tool.

    C_InitToken needs a slot that only the vendor's tool knows to choose; PINs go by argument here, SoftHSM being a
    stand-in whose PIN lies in the settings anyway.
    """
    if hsm.module.has_token(hsm.config):
        return False
    command = [tool, "--init-token", "--free", "--label", hsm.config.token_label, "--so-pin", so_pin, "--pin", hsm.config.pin()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise HSMUnavailable(f"{tool} cannot be run: {type(error).__name__}", 30.0) from None
    if done.returncode:
        raise HSMUnavailable(f"{tool} could not make the token: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    hsm.close()  # a token made by another process is seen after a fresh start only
    return True


def create_keys(hsm: HSM, plan: Sequence[KeyPlan]) -> list[KeyInfo]:
    """Make the keys that are missing and read all of them back; HSMMisuse if one is not what its template demands."""
    for key in plan:
        hsm.run(partial(_create, key))
    found = hsm.keys(tuple(plan))
    wrong = {info.label: faults for info, key in zip(found, plan, strict=True) if (faults := _faults(info, key))}
    if wrong:
        raise HSMMisuse(f"keys with wrong attributes: {wrong}")
    return found


def _faults(info: KeyInfo, plan: KeyPlan) -> list[str]:
    return info.faults + (["ID"] if info.id != plan.id else [])


def _create(plan: KeyPlan, do: Operations) -> None:
    if not do.session.exists(plan):
        do.session.generate(plan)
