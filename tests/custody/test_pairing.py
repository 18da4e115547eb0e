"""A second HSM joins an installation that stands, and the service goes on whatever happens to either."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from pydantic import SecretStr

from hsm import HSM, HSMPair, transport
from hsm.keys import SIGNING_PLAN
from hsm.records import KeyRecord
from manifests import jws
from sifilma.activation.trust import key_checks, keyset
from sifilma.app.chores import CHORES
from sifilma.fsck.run import examine
from sifilma.kernel.unit_of_work import assert_no_transaction
from tests.custody.test_rotation import download, rotate, verdict
from tests.fsck.conftest import installation
from tests.hsm.token_access import within_seconds
from tests.support.databases import Fresh
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.softhsm import PIN, SO_PIN, SoftHSM
from tests.support.world import Ready, World, done

WHO = "magetan.kepala"


@dataclass
class Twins:
    """An installation with two HSMs in stores of their own, `a` and `b`. `pins` are those that the service gives them."""

    world: World
    pair: HSMPair
    stores: dict[str, SoftHSM]
    pins: dict[str, str]


@pytest.fixture
def make_twins(tmp_path: Path, softhsm: SoftHSM, root_token: HSM) -> Callable[[Fresh], AbstractContextManager[Twins]]:
    """Return what makes an installation that has worked with one HSM, and has a second one that has not joined."""
    return lambda fresh: _twins(fresh, tmp_path, root_token)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BITS", 2048)  # a shorter one is made in less time


@contextmanager
def _twins(fresh: Fresh, tmp_path: Path, root_token: HSM) -> Iterator[Twins]:
    stores, pins = {name: SoftHSM(tmp_path / name, apart=True) for name in ("a", "b")}, {"a": PIN, "b": PIN}
    stores["a"].token("a", SIGNING_PLAN)
    tokens = [
        HSM(stores["a"].config("a", pin=lambda: pins["a"]), assert_no_transaction),
        HSM(stores["b"].config("b", pin=lambda: pins["b"]), assert_no_transaction),
    ]
    pair, url = HSMPair(tokens[0], tokens[1]), fresh.make()
    secrets = {"root_pin": PIN, "hsm_so_pin": SO_PIN, "second_hsm_so_pin": SO_PIN}
    with closing(World(url, tmp_path / "home", pair, root_token, hsm_token="a", second_hsm_token="b")) as world:
        world.configure(**{name: SecretStr(value) for name, value in secrets.items()})
        world.give_role("operator1", "custodian")
        yield Twins(world, pair, stores, pins)
        pair.close()
    fresh.remove(url)


@pytest.fixture
def twins(make_twins: Callable[[Fresh], AbstractContextManager[Twins]], inhabited_sqlite: Fresh) -> Iterator[Twins]:
    """Yield such an installation on SQLite."""
    with make_twins(inhabited_sqlite) as made:
        yield made


def call(world: World, *args: object, typed: str = "") -> Result:
    return world.app.test_cli_runner().invoke(args=["hsm", *map(str, args)], input=typed)


def join(world: World, path: Path) -> str:
    planned = call(world, "ceremony", "plan", path, "--custodian", "kustodian1", "--custodian", "operator1")
    assert planned.exit_code == 0, planned.exception
    sha256 = planned.output.split()[-1]
    world.clock.advance(seconds=31)  # a code counts once
    typed = "".join(f"{sha256[:12]}\n{world.code(name)}\n" for name in ("kustodian1", "operator1"))
    told = call(world, "pair", "join", path, typed=typed)
    assert told.exit_code == 0, (told.output, told.exception)
    return told.output


def activate(world: World, ready: Ready, uid: str) -> Any:
    return world.client(WHO).post("/activations", world.activation(ready, uid))


@contextmanager
def another_key_recorded(pair: HSMPair, known: KeyRecord) -> Iterator[None]:
    """Have the first token differ from its record of one key within the block."""
    first = pair.tokens[0]
    recorded = first.recorded
    first.recorded = lambda: {**recorded(), known.label: KeyRecord(**(known.as_json() | {"check": "0" * 16}))}
    first.close()  # keys are compared anew
    yield
    first.recorded = recorded


def test_a_second_hsm_joins_and_takes_over_and_what_was_made_before_stays_valid(twins: Twins, tmp_path: Path) -> None:
    world, pair = twins.world, twins.pair
    before = world.ready(count=3)
    first = done(activate(world, before, before.uids[0]), 201)
    assert "it has not joined" in call(world, "keys").output
    assert not pair.check().tokens["b"].ok
    told = join(world, tmp_path / "ceremony.json")
    assert "SIFILMA_MASTER_VERSION=2" in told
    record = key_checks.load_record(world.settings)
    assert (record.token, record.versions, len(record.keys), len(record.of("b"))) == ("a", {"seal-kek": 2, "token-mac": 2}, 11, 8)
    published = keyset.load(world.settings)
    assert (published.keyset.version, len(published.keyset.keys)) == (2, 8)
    assert "already" not in join(world, tmp_path / "again.json")  # nothing is made twice
    assert keyset.load(world.settings).keyset.version == 2
    with world.app.app_context():
        assert CHORES["data keys sealed anew"].run() == 1
    assert world.sql("SELECT DISTINCT length(sealed) FROM data_key") == [(62,)]
    world.configure(master_version=2)
    new = world.ready(count=2)
    told = call(world, "keys").output
    assert "sam-master-v1    not on this token: cards of this version are issued by a only" in told
    assert told.count("sam-master-v2    id 0402    AES-256, CMAC") == 2
    assert call(world, "pair", "status").exit_code == 0

    mac = pair.tokens[0].recorded()["token-mac-v2"]
    with another_key_recorded(pair, mac):  # the first HSM is not out, and yet the second signs: with its own key, and names it
        second = done(activate(world, new, new.uids[0]), 201)
    within_seconds(5, lambda: not pair.out)
    with twins.stores["a"].away():
        third = done(activate(world, new, new.uids[1]), 201)
        refused = activate(world, before, before.uids[1])  # its card has the master key of the first HSM only
        assert (refused.status_code, refused.json["type"]) == (503, "urn:sifilma:problem:hsm-unavailable")
        ready = world.anonymous().open("GET", "/readyz").json["checks"]["hsm"]
        assert (ready["ok"], ready["degraded"], ready["tokens"]["a"]["ok"]) == (True, True, False)
        metrics = world.anonymous().open("GET", "/metrics").get_data(as_text=True)
        assert 'sifilma_hsm_used{token="a"} 0.0' in metrics
        assert 'sifilma_hsm_used{token="b"} 1.0' in metrics
        home = world.client("operator1")
        assert "HSM a sedang tidak dipakai" in home.open("GET", "/", headers=home.headers).get_data(as_text=True)
        assert call(world, "pair", "status").exit_code == 1
        bodies = [download(world, one) for one in (first, second, third)]
    within_seconds(5, lambda: not pair.out)
    assert len({kid for (kid,) in world.sql("SELECT kid FROM manifest")}) == 2
    assert [verdict(world, body) for body in bodies] == ["valid"] * 3
    done(activate(world, before, before.uids[2]), 201)
    assert [str(found) for found in examine(installation(world)).findings] == []
    assert pair.read_back() == {}


def test_a_rotation_makes_the_key_on_both_hsms(twins: Twins, tmp_path: Path) -> None:
    world, pair = twins.world, twins.pair
    join(world, tmp_path / "ceremony.json")
    for role, version in (("token-mac", 3), ("manifest-sign", 2), ("sam-master", 3)):
        assert f"{role}-v{version}" in rotate(world, role)
    record = key_checks.load_record(world.settings)
    for label in ("token-mac-v3", "sam-master-v3"):
        assert record.of("a")[label].check == record.of("b")[label].check
    assert record.of("a")["manifest-sign-v2"].check != record.of("b")["manifest-sign-v2"].check
    assert pair.read_back() == {}
    assert call(world, "keys").exit_code == 0


def faults(twins: Twins, seconds: float) -> Iterator[str]:
    """Take HSM `a` away, have it hang, give it a wrong PIN, each for some seconds, and bring it back each time."""
    store, first = twins.stores["a"], twins.pair.tokens[0]
    with store.away():
        yield "away"
        time.sleep(seconds)
    within_seconds(10, lambda: not twins.pair.out)
    with store.hanging():
        yield "hangs"
        time.sleep(seconds)
    within_seconds(10, lambda: not twins.pair.out)
    twins.pins["a"] = "000000"
    with store.away():
        within_seconds(10, lambda: bool(twins.pair.out))
    yield "wrong PIN"
    time.sleep(seconds)
    twins.pins["a"] = PIN
    first.close()  # a refused PIN is tried again after a restart only
    within_seconds(10, lambda: not twins.pair.out)


def endure(twins: Twins, path: Path, count: int, seconds: float) -> tuple[list[int], list[float], list[str]]:
    """Activate cards by 8 clients at once while `faults` run. Return the statuses, the seconds each took, and the HSMs that signed."""
    world = twins.world
    join(world, path)
    world.configure(master_version=2)
    ready = world.ready(count=count)
    waiting, statuses, times, over = list(ready.uids), list[int](), list[float](), threading.Event()
    pace = threading.Semaphore(0)

    def client() -> None:
        while True:
            pace.acquire()
            try:
                uid = waiting.pop()
            except IndexError:
                return
            began = time.monotonic()
            status = activate(world, ready, uid).status_code
            times.append(time.monotonic() - began)
            statuses.append(status)

    def breaker() -> None:
        try:
            for _ in faults(twins, seconds):
                pass
        finally:
            over.set()

    def drive() -> None:
        # As many as there are, spread over the faults; what is left comes at the end.
        while not over.is_set() and waiting:
            pace.release(2)
            time.sleep(8 * seconds / count)
        pace.release(count + 8)

    run_simultaneously([client] * 8 + [breaker, drive])
    kids = {jws.thumbprint(token.public_key("manifest-sign")): token.label for token in twins.pair.tokens}
    return statuses, times, [kids[kid] for (kid,) in world.sql("SELECT kid FROM manifest")]


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99) - 1]


def test_no_activation_is_lost_or_refused_while_an_hsm_is_away_hangs_or_refuses_its_pin(twins: Twins, tmp_path: Path) -> None:
    statuses, times, by = endure(twins, tmp_path / "ceremony.json", 60, 0.7)
    assert statuses == [201] * 60
    assert {"a", "b"} == set(by)
    assert p99(times) <= 2.0


@pytest.mark.long
def test_a_thousand_activations_survive_an_hsm_that_is_away_hangs_and_refuses_its_pin(
    make_twins: Callable[[Fresh], AbstractContextManager[Twins]], inhabited_postgresql: Fresh, tmp_path: Path
) -> None:
    with make_twins(inhabited_postgresql) as twins:
        statuses, times, by = endure(twins, tmp_path / "ceremony.json", 1000, 15.0)
    print(f"p50 {sorted(times)[500]:.3f} s, p99 {p99(times):.3f} s, max {max(times):.3f} s; signed by {by.count('a')} and {by.count('b')}")
    assert statuses == [201] * 1000
    assert {"a", "b"} == set(by)
    assert p99(times) <= 2.0
