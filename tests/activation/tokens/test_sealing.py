"""The formats of a sealed data key: what earlier versions, and HSMs that choose the IV, have sealed opens; nothing else is tried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select

from hsm import HSM, HSMMisuse
from hsm.session import require_own_iv
from sifilma.activation.models import DataKey
from sifilma.activation.tokens import sealing
from sifilma.activation.trust import keyset
from sifilma.custody import closing as custody_closing
from tests.custody.test_rotation import WHO, download, own_world
from tests.hsm.token_access import put_secret
from tests.support.softhsm import SoftHSM
from tests.support.world import World, done

__all__ = ["own_world"]  # a fixture
KEKS = {1: bytes(range(32)), 2: bytes(range(32, 64))}
OFFICE, MONTH, KEY = UUID(int=7), "2026-11", bytes(range(64, 96))
LONG = bytes(range(16))
"""An IV as an HSM of the kind of Luna chooses it in FIPS mode."""


@pytest.fixture(scope="module")
def known(softhsm: SoftHSM) -> Iterator[HSM]:
    """Yield a token whose `seal-kek` the test knows, in two versions."""
    token = softhsm.token("sealing", [])
    for version, value in KEKS.items():
        put_secret(token, "seal-kek" if version == 1 else f"seal-kek-v{version}", value, ENCRYPT=True, DECRYPT=True)
    with closing(token):
        yield token


def sealed_by(version: int, iv: bytes, *said: int) -> bytes:
    """Return a data key as other software seals it under the same key, after what it says of itself."""
    return bytes(said) + iv + AESGCM(KEKS[version]).encrypt(iv, KEY, sealing.key_identity(OFFICE, MONTH))


def opened(token: HSM, sealed: bytes) -> bytes:
    return token.run(lambda do: sealing.open_data_key(do, OFFICE, MONTH, sealed))


@pytest.mark.parametrize(
    ("version", "iv", "said", "length"),
    [
        (1, bytes(12), (), 60),  # the first version of the key says nothing
        (2, bytes(12), (2,), 61),  # as it was before there was a format
        (2, bytes(12), (2, 1), 62),
        (2, LONG, (2, 2), 66),
        (1, LONG, (1, 2), 66),  # the first key of an HSM that always chose the IV
        (1, bytes(12), (1, 1), 62),
    ],
)
def test_a_data_key_opens_in_each_format(known: HSM, version: int, iv: bytes, said: tuple[int, ...], length: int) -> None:
    sealed = sealed_by(version, iv, *said)
    assert len(sealed) == length
    assert opened(known, sealed) == KEY
    for place in (0, len(said), len(sealed) - 1):
        changed = sealed[:place] + bytes((sealed[place] ^ 0x40,)) + sealed[place + 1 :]
        with pytest.raises(Exception, match=r"changed|seal-kek-v\d+") as refused:
            opened(known, changed)
        assert KEY.hex() not in str(refused.value)


@pytest.mark.parametrize(
    ("sealed", "why"),
    [
        (sealed_by(2, LONG, 2, 3), "sealed in the format 3, which this version does not know"),
        (sealed_by(2, bytes(12), 2, 0), "sealed in the format 0"),
        (sealed_by(2, LONG, 2, 1), "a sealed data key of 66 bytes"),  # another length than its format has
        (sealed_by(2, bytes(12), 2, 2), "a sealed data key of 62 bytes"),
        (sealed_by(2, bytes(12), 0, 1), "a sealed data key of 62 bytes"),
        (sealed_by(1, bytes(12))[:-1], "a sealed data key of 59 bytes"),
        (b"", "a sealed data key of 0 bytes"),
    ],
)
def test_another_format_is_refused_and_nothing_is_asked_of_the_token(known: HSM, sealed: bytes, why: str) -> None:
    with pytest.raises(HSMMisuse, match=why):
        opened(known, sealed)


def test_what_a_module_sealed_with_another_iv_than_the_one_it_was_given_is_never_stored() -> None:
    given = os.urandom(12)
    require_own_iv(given, given, 16)
    for taken, longer in ((given, 32), (given, 28), (bytes(12), 16)):  # answered after the tag; written over the one that was given
        with pytest.raises(HSMMisuse, match="an IV of its own"):
            require_own_iv(given, taken, longer)


def test_what_a_data_key_sealed_opens_though_an_hsm_chose_the_iv_of_the_data_key(own_world: World, root_token: HSM) -> None:
    world = own_world
    ready = world.ready(count=2)
    first = done(world.client(WHO).post("/activations", world.activation(ready, ready.uids[0])), 201)
    body = download(world, first)
    put_secret(world.hsm, "seal-kek-v2", KEKS[2], ENCRYPT=True, DECRYPT=True)
    keyset.publish(world.settings, world.hsm, root_token, world.clock.now())  # which records it
    with world.context() as ctx:
        row = ctx.session.scalars(select(DataKey)).one()
        owner, month, sealed = row.organisation_id, row.month, row.sealed
    key = world.hsm.run(lambda do: sealing.open_data_key(do, owner, month, sealed))
    made = bytes((2, 2)) + LONG + AESGCM(KEKS[2]).encrypt(LONG, key, sealing.key_identity(owner, month))
    assert len(world.sql("UPDATE data_key SET sealed = :made RETURNING id", made=made)) == 1
    assert download(world, first) == body
    done(world.client(WHO).post("/activations", world.activation(ready, ready.uids[1])), 201)  # its token was sealed before
    with world.context() as ctx:
        told = list(custody_closing.needs(ctx.session, world.settings, "seal-kek", 2))
        assert "1 data keys, which the worker has not sealed anew yet" in told
        assert list(custody_closing.needs(ctx.session, world.settings, "seal-kek", 1)) == ["it is in use"]
