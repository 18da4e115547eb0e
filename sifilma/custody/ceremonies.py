"""Hold a ceremony: make what is missing, record what is there, and rehearse both on a software token that is thrown away."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from config.settings import Settings
from config.soundness import is_softhsm
from hsm import HSM, HSMPair, ceremony
from hsm.errors import HSMError
from hsm.keys import ROOT_PLAN, SIGNING_PLAN
from hsm.softhsm import CONFIGURATION
from sifilma.activation.trust import key_checks, keyset
from sifilma.activation.trust.key_checks import Record
from sifilma.activation.trust.keyset import Trust
from sifilma.custody import pairing
from sifilma.custody.ceremony_file import CeremonyFile, CeremonyRefused
from sifilma.resources import ensure_softhsm, second_config, token_config

SOFTHSM = str(Settings.model_fields["hsm_module"].default)


@dataclass(frozen=True)
class Held:
    """What a ceremony made: how many keys on each token, the published keyset, and the record of keys."""

    keys: dict[str, int]
    trust: Trust
    record: Record


def make(
    settings: Settings,
    signing: HSM,
    root: HSM,
    now: datetime,
    by: Sequence[str] = (),
    held: str = "",
    agree: Callable[[str], None] = lambda _fingerprint: None,
) -> Held:
    """Make tokens (SoftHSM's only) and keys where they are missing, publish the keyset and record the keys. Raise as these do.

    A second HSM joins (`pairing.join`, which `agree` is for).
    """
    counts = {}
    first, *further = signing.tokens
    for token, plan in ((first, key_checks.load_record(settings).plan(SIGNING_PLAN)), (root, ROOT_PLAN)):
        if is_softhsm(settings.hsm_module):  # an HSM's tokens are made by its maker's tool
            ceremony.init_token(token, settings.secret("hsm_so_pin"))
        counts[token.label] = len(ceremony.create_keys(token, plan))
    published = keyset.publish(settings, signing, root, now, by, held)
    for second in further:
        joined = pairing.join(settings, signing, root, now, by, held, agree)
        counts[second.label], published = joined.keys, joined.trust
    return Held(counts, published, key_checks.load_record(settings))


def take_record(settings: Settings, signing: HSM, root: HSM, now: datetime, file: CeremonyFile) -> Held:
    """Record the keys that are there, and make none. Raise HSMKeyMissing or CeremonyRefused for a key that is not what the file demands."""
    counts = {}
    for token, plan in ((signing.tokens[0], key_checks.load_record(settings).plan(SIGNING_PLAN)), (root, ROOT_PLAN)):
        found = token.keys(tuple(plan))
        if wrong := {info.label: info.faults for info in found if info.faults}:
            raise CeremonyRefused(f"Keys are not what the file demands: {wrong}.")
        counts[token.label] = len(found)
    record = key_checks.record(settings, signing, root, now, file.custodians, file.sha256)
    return Held(counts, keyset.load(settings), record)


def rehearse(settings: Settings, now: datetime, file: CeremonyFile) -> Held:
    """Hold the ceremony of a file on SoftHSM in a folder that is removed afterwards. Return what it made there.

    The keys are read back as in daily work. Raise CeremonyRefused if one differs from the record that was made of it a moment before.
    """
    with _practice(settings) as (home, module):
        pin, root_pin = secrets.token_hex(8), secrets.token_hex(8)
        pins = {"hsm_pin": SecretStr(pin), "hsm_so_pin": SecretStr(secrets.token_hex(8)), "root_pin": SecretStr(root_pin)}
        pins |= {name: SecretStr(secrets.token_hex(8)) for name in ("second_hsm_pin", "second_hsm_so_pin")}
        own = settings.model_copy(update={"home": home, "hsm_module": str(module), "second_hsm_module": "", **pins})
        ensure_softhsm(own)
        # A real installation refuses software tokens; this one serves to see the whole way once.
        first, root = (
            HSM(replace(token_config(own, label, name, None), refused_makers=()))
            for label, name in ((own.hsm_token, "hsm_pin"), (own.root_token, "root_pin"))
        )
        signing = HSMPair(first, HSM(replace(second_config(own), refused_makers=()))) if own.second_hsm_token else first
        try:
            held = make(own, signing, root, now, file.custodians, file.sha256)
            key_checks.attach(own, signing)
            if wrong := signing.read_back():
                raise CeremonyRefused(f"The rehearsal failed: {dict(wrong)}.")
        finally:
            signing.close()
        return held


@contextmanager
def _practice(settings: Settings) -> Iterator[tuple[Path, Path]]:
    """Yield a folder and a library of its own: a copy of SoftHSM's is another library to this process, so no other token is disturbed."""
    source = Path(settings.hsm_module if is_softhsm(settings.hsm_module) else SOFTHSM)
    before = os.environ.pop(CONFIGURATION, None)
    folder = Path(tempfile.mkdtemp(prefix="sifilma-rehearsal-"))
    try:
        yield folder, Path(shutil.copy(source, folder / "libsofthsm2.so"))
    except OSError as missing:
        raise CeremonyRefused(f"SoftHSM is needed for a rehearsal, and {source} cannot be used ({type(missing).__name__}).") from missing
    except CeremonyRefused:
        raise
    except HSMError as failed:
        raise CeremonyRefused(f"The rehearsal failed: {failed}.") from failed
    finally:
        shutil.rmtree(folder)
        if before is None:
            os.environ.pop(CONFIGURATION, None)
        else:
            os.environ[CONFIGURATION] = before
