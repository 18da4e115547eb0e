"""A second HSM: it joins with signing keys of its own, and with the keys of tokens, data and cards that the first one gives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from config.settings import Settings
from config.soundness import is_softhsm
from hsm import HSM, ceremony, transport
from hsm.keys import MASTER, SIGNING_PLAN, KeyKind, KeyPlan, carried_plan, label_of, master_plan, role_of, version_plan
from sifilma.activation.trust import key_checks, keyset
from sifilma.activation.trust.key_checks import Record
from sifilma.activation.trust.keyset import Trust
from sifilma.custody import rotation
from sifilma.custody.ceremony_file import CeremonyRefused

SHARED = tuple(plan.label for plan in SIGNING_PLAN if plan.kind is not KeyKind.EC_SIGN and not plan.label.startswith(MASTER))
"""The roles whose keys both HSMs hold."""


@dataclass(frozen=True)
class Joined:
    """What joining made: how many keys are on the second token, the keyset, and the version of the card master key that both hold."""

    keys: int
    trust: Trust
    master: int


def join(
    settings: Settings,
    signing: HSM,
    root: HSM,
    now: datetime,
    by: Sequence[str] = (),
    held: str = "",
    agree: Callable[[str], None] = lambda _fingerprint: None,
) -> Joined:
    """Have the second HSM do whatever the first one does. What is there already stays, so a call that broke off is repeated.

    Keys that were made to stay on the first token cannot be carried. So token-mac and seal-kek get a next version that both hold and that
    is used from now on, and there is a next card master key for new cards. `agree` is given the fingerprint of the transport key
    (`transport.carry`). Raise CeremonyRefused unless there are two HSMs and the keys of the first one are recorded.
    """
    if len(signing.tokens) < 2:
        raise CeremonyRefused("There is one HSM: set SIFILMA_SECOND_HSM_TOKEN.")
    first, second = signing.tokens
    made = key_checks.load_record(settings)
    if not made.version:
        raise CeremonyRefused("The keys are not recorded yet: hold a ceremony.")
    if is_softhsm(second.config.module_path):
        ceremony.init_token(second, settings.secret("second_hsm_so_pin"))
    ceremony.create_keys(second, [_in_use(made, plan) for plan in SIGNING_PLAN if plan.kind is KeyKind.EC_SIGN])
    shared = [carried_plan(plan) for plan in (*(_next(made, second.label, role) for role in SHARED), _next_master(made, second.label))]
    transport.carry(first, second, shared, settings.secret("hsm_so_pin"), agree)
    for token in signing.tokens:
        ceremony.create_keys(token, shared)  # reads them back
    published = keyset.publish(settings, signing, root, now, by, held, joining=True)
    for plan in shared:
        role, version = role_of(plan.label)
        if role in SHARED and made.versions.get(role, 1) != version:
            rotation.use(settings, signing, root, now, plan, by)
    return Joined(len(second.labels()), published, int(shared[-1].label.removeprefix(MASTER)))


def _in_use(made: Record, plan: KeyPlan) -> KeyPlan:
    version = made.versions.get(plan.label, 1)
    return plan if version == 1 else version_plan(plan.label, version)


def _next(made: Record, second: str, role: str) -> KeyPlan:
    """Return the version that both hold, or that both will hold. One that the first one shared with an HSM that is gone stays there."""
    known = made.known(role)
    both = [version for version in known if second in made.holders(label_of(role, version))]
    return version_plan(role, max(both) if both else 1 + max(known))


def _next_master(made: Record, second: str) -> KeyPlan:
    known = [int(label.removeprefix(MASTER)) for label in made.keys if label.startswith(MASTER)]
    both = [version for version in known if second in made.holders(f"{MASTER}{version}")]
    return master_plan(max(both) if both else 1 + max(known))
