"""An act on a key that a crash ends between two of its steps: whoever repeats the command finishes it, and it is done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hsm import ceremony
from hsm.keys import Exact, label_of
from manifests import jws
from sifilma.activation.trust import key_checks, keyset, published
from sifilma.custody import closing
from sifilma.kernel.unit_of_work import UnitOfWork
from tests.custody.test_reissue import carried, findings, standing
from tests.custody.test_rotation import WHO, own_world, verdict
from tests.support.world import World

__all__ = ["own_world"]  # a fixture
WRITTEN = {published.RECORD, published.KEYSET, "root.crt"}
"""Files after which a crash may come. The other certificates are written beside root.crt."""


class Killed(BaseException):
    """The process ended here."""


@contextmanager
def killed_after(step: int) -> Iterator[list[str]]:
    """End the process after so many of its steps that last: a key made or destroyed, a file written, a transaction committed.

    Yields the steps that were taken.
    """
    taken: list[str] = []

    def lasting(name: str, act: Callable[..., Any], counts: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            result = act(*given, **named)
            if counts(*given):
                taken.append(name)
                if len(taken) == step:
                    raise Killed
            return result

        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ceremony, "create_keys", lasting("made", ceremony.create_keys))
        patch.setattr(ceremony, "destroy", lasting("destroyed", ceremony.destroy))
        written = lasting("written", published.replace_file, lambda path, *_: path.name in WRITTEN)
        patch.setattr(published, "replace_file", written)
        patch.setattr(UnitOfWork, "commit", lasting("committed", UnitOfWork.commit))
        yield taken


def call(world: World, *args: str) -> Result:
    world.clock.advance(seconds=31)  # a code counts once
    command = ["hsm", *args, "--custodian", "kustodian1"]
    return world.app.test_cli_runner().invoke(args=command, input=world.code("kustodian1") + "\n")


def at_every_step(world: World, act: Callable[[], tuple[str, ...]], is_done: Callable[[], bool]) -> int:
    """Break an act off after each of its steps, and repeat it once if it is not done. Return how many steps there were.

    `act` returns the arguments of the command, which are the same when it is repeated.
    """
    step = 0
    while True:
        step += 1
        arguments, whole = act(), None
        with killed_after(step) as taken, suppress(Killed):
            whole = call(world, *arguments)
        if whole is not None:
            assert whole.exit_code == 0, (whole.output, whole.exception)
            assert is_done()
            return len(taken)
        if not is_done():
            again = call(world, *arguments)
            assert again.exit_code == 0, (step, taken, again.output, again.exception)
        assert is_done(), (step, taken)
        assert world.hsm.read_back() == {}


def is_entered(world: World) -> bool:
    """Whether the database holds the record of keys that lies in the home, and knows its keyset."""
    with world.context() as ctx:
        known = key_checks.entered(ctx.session, world.settings)
        line = published.stored(ctx.session, published.KEYSET)
    return known == key_checks.load_record(world.settings) and line == keyset.load(world.settings).file


def entries(world: World, action: str, label: str) -> int:
    return int(
        world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = :action AND object_id = :label", action=action, label=label)[0][0]
    )


@pytest.mark.parametrize("role", ["token-mac", "sam-master", pytest.param("manifest-sign", marks=pytest.mark.long)])
def test_a_rotation_that_breaks_off_is_finished_by_the_same_command(own_world: World, role: str) -> None:
    world, made = own_world, [1]
    label = closing.label if role == "sam-master" else label_of

    def begin() -> tuple[str, ...]:
        made.append(made[-1] + 1)
        return "rotate", role

    def is_done() -> bool:
        if role != "sam-master" and key_checks.versions(world.settings).get(role, 1) != made[-1]:
            return False
        return is_entered(world) and entries(world, "keys.rotate", label(role, made[-1])) == 1

    assert at_every_step(world, begin, is_done) >= 4
    known = {closing.parted(found) for found in key_checks.load(world.settings)} | {(role, 1)}
    assert {version for found, version in known if found == role} == set(made)  # one for each rotation, and no other
    assert {found for found, _, _ in world.hsm.labels()} == set(key_checks.load(world.settings))


def test_a_compromise_that_breaks_off_is_finished_and_revokes_no_other_key(own_world: World) -> None:
    world, in_use = own_world, [1]
    world.active(function="R", count=1)

    def begin() -> tuple[str, ...]:
        while carried(world):
            pass
        in_use.append(in_use[-1] + 1)
        return "compromise", "manifest-sign"

    def is_done() -> bool:
        fallen, now = label_of("manifest-sign", in_use[-2]), label_of("manifest-sign", in_use[-1])
        if key_checks.versions(world.settings).get("manifest-sign", 1) != in_use[-1] or not is_entered(world):
            return False
        held = keyset.load(world.settings)
        revoked = {key.kid for key in held.keyset.keys if key.revoked_at is not None}
        assert held.kid(world.hsm, now, "manifest") not in revoked
        [waiting] = world.sql("SELECT COUNT(*) FROM reissue WHERE label = :label", label=fallen)
        return len(revoked) == in_use[-2] and entries(world, "keys.compromise", fallen) == 1 and tuple(waiting) == (1,)

    assert at_every_step(world, begin, is_done) >= 8
    while carried(world):
        pass
    [row] = standing(world)
    line = bytes(world.client(WHO).post(f"/manifests/{row['id']}/download").get_data())
    assert verdict(world, line) == "valid"
    assert findings(world) == []


def test_a_compromise_that_broke_off_is_finished_after_another_act_on_keys(own_world: World) -> None:
    world = own_world
    fallen = world.trust.kid(world.hsm, "manifest-sign", "manifest")
    for step in range(1, 12):
        with killed_after(step), suppress(Killed):
            call(world, "compromise", "manifest-sign")
        if key_checks.load_record(world.settings).revoking:
            break
    assert (key_checks.load_record(world.settings).revoking, key_checks.versions(world.settings)["manifest-sign"]) == ("manifest-sign", 2)
    refused = call(world, "compromise", "status-sign")
    assert (refused.exit_code, "finish it first" in str(refused.exception)) == (1, True)
    for other in (("rotate", "token-mac"), ("close", "token-mac", "1"), ("compromise", "manifest-sign")):
        told = call(world, *other)
        assert told.exit_code == 0, (other, told.exception)
    assert {key.kid for key in keyset.load(world.settings).keyset.keys if key.revoked_at is not None} == {fallen}
    assert key_checks.versions(world.settings)["manifest-sign"] == 2


def test_a_version_that_waits_is_revoked_and_its_successor_signs(own_world: World) -> None:
    world = own_world
    assert call(world, "rotate", "manifest-sign", "--publish-only").exit_code == 0
    told = call(world, "compromise", "manifest-sign", "--version", "2")
    assert told.exit_code == 0, told.exception
    revoked = {key.kid for key in keyset.load(world.settings).keyset.keys if key.revoked_at is not None}
    assert revoked == {jws.thumbprint(world.hsm.public_key(Exact("manifest-sign-v2")))}
    assert key_checks.versions(world.settings)["manifest-sign"] == 3
    world.active(function="R", count=1)


def test_a_closing_that_breaks_off_is_finished(own_world: World) -> None:
    world = own_world

    def begin() -> tuple[str, ...]:
        told = call(world, "rotate", "document-sign")
        assert told.exit_code == 0, told.exception
        return "close", "document-sign", str(key_checks.versions(world.settings)["document-sign"] - 1)

    def is_done() -> bool:
        label = label_of("document-sign", key_checks.versions(world.settings)["document-sign"] - 1)
        is_gone = label not in {found for found, _, _ in world.hsm.labels()}
        return is_gone and label in key_checks.load_record(world.settings).closed and is_entered(world)

    assert at_every_step(world, begin, is_done) >= 4


def test_recording_that_breaks_off_is_finished(own_world: World, tmp_path: Path) -> None:
    world, path = own_world, tmp_path / "ceremony.json"
    world.give_role("operator1", "custodian")
    names = ("kustodian1", "operator1")
    runner = world.app.test_cli_runner()
    planned = runner.invoke(args=["hsm", "ceremony", "plan", str(path), "--custodian", names[0], "--custodian", names[1]])
    sha256 = planned.output.split()[-1]
    for step in range(1, 20):
        version = key_checks.load_record(world.settings).version
        for again in (False, True):
            world.clock.advance(seconds=31)
            typed = "".join(f"{sha256[:12]}\n{world.code(name)}\n" for name in names)
            with killed_after(0 if again else step):
                try:
                    told = runner.invoke(args=["hsm", "ceremony", "record", str(path)], input=typed)
                except Killed:
                    continue
            assert told.exit_code == 0, told.exception
            break
        assert is_entered(world)
        assert key_checks.load_record(world.settings).version > version
        if not again:
            break
    assert step > 3
