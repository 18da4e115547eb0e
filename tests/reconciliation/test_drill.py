"""The drill: issue, back up, issue more, revoke and disable, restore, reconcile. Nothing is given out twice, and nothing comes back."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hsm import softhsm
from manifests.encoding import from_b64url
from manifests.verifier import Expectations, verify
from sifilma.accounts.service import end_account
from sifilma.activation.trust import ceremonies, keyset
from sifilma.backup import archive
from sifilma.demo import facts
from sifilma.identity.models import AccountState, ApiKey, User
from sifilma.reconciliation.models import OpenQuestion
from tests.support import programs
from tests.support.fsck_findings import fsck_findings
from tests.support.transparency_log import sequence
from tests.support.witness import compared, tell, witnessed
from tests.support.world import Ready, World, done
from tests.vectors import make

OFFICE, LEAVER = "magetan.kepala", "magetan.staf"
CUSTODIANS = ("kustodian1", "operator1")
VERIFIER = make.FOLDER / "verifier.mjs"


@dataclass
class Life:
    """What left the installation: signed manifests, the UIDs that were reported, the numbers of papers."""

    lines: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    papers: list[str] = field(default_factory=list)


def run(world: World, *arguments: str | Path, typed: str = "") -> Any:
    done_ = world.app.test_cli_runner().invoke(args=[str(one) for one in arguments], input=typed)
    assert done_.exit_code == 0, (done_.output, done_.exception)
    return done_.output


def reconcile(world: World) -> Any:
    named = [part for name in CUSTODIANS for part in ("--custodian", name)]
    world.clock.advance(seconds=60)  # a code is used once
    world.beat()
    return run(world, "restore", "reconcile", *named, typed="".join(f"{world.code(name)}\n" for name in CUSTODIANS))


def activate(world: World, ready: Ready, uids: Sequence[str]) -> list[str]:
    """Activate cards and return their manifests as they are handed out."""
    office, lines = world.client(OFFICE), []
    for uid in uids:
        made = done(office.post("/activations", world.activation(ready, uid)), 201)
        line = office.post(f"/manifests/{made['manifest']['id']}/download")
        assert line.status_code == 200, line.get_data(as_text=True)
        lines.append(line.get_data(as_text=True))
    return lines


def said(line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(from_b64url(line.encode().split(b".")[1]))
    return found


def numbers(line: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return what no other manifest may have: the epoch and sequence of its card, and its place in a status list."""
    it = said(line)
    return (it["sub"], it["epoch"], it["seq"]), (it["status"]["uri"], it["status"]["idx"])


def handed_over(world: World, uids: list[str]) -> list[str]:
    body = {"to": str(world.organisation_of(OFFICE))}
    return [done(world.client("operator1").post("/handovers", body | {"cards": [uid]}), 201)["number"] for uid in uids]


def judged(world: World, lines: Sequence[str], folder: Path) -> list[str]:
    """Return what three verifiers agree on about each manifest: ours, the second one in Node, and `jose` about the signature."""
    folder.mkdir()
    trust, at = keyset.load(world.settings), int(world.clock.now().timestamp())
    (folder / "keyset").write_bytes(trust.file)
    (folder / "jwks.json").write_text(json.dumps({"keys": [key.jwk.model_dump() for key in trust.keyset.keys if key.use == "manifest"]}))
    vectors, ours = {}, []
    for place, line in enumerate(lines):
        it, name = said(line), f"{place}.jws"
        status = Path(it["status"]["uri"]).name
        if not (folder / status).exists():
            (folder / status).write_bytes(world.anonymous().open("GET", f"/status/{status}").get_data())
        (folder / name).write_text(line)
        verdict = verify(line.encode(), Expectations(trust.pin, trust.file, at, (folder / status).read_bytes(), uid=it["sub"]))
        ours.append("valid" if verdict.valid else str(verdict.reason))
        vectors[name] = {"file": name, "keyset": "keyset", "status": status, "ask": {"uid": it["sub"]}, "ours": ours[-1], "warning": False}
        verified = [programs.program("jose"), "jws", "ver", "-i", str(folder / name), "-k", str(folder / "jwks.json"), "-O", "-"]
        if place % 5 == 0:  # a process each
            assert subprocess.run(verified, capture_output=True, check=False).returncode == 0
    index = {"at": at, "uid": "", "root_sha256": trust.pin, "vectors": vectors, "root_changes": {}}
    (folder / "index.json").write_text(json.dumps(index))
    second = subprocess.run([programs.program("node"), str(VERIFIER), str(folder)], capture_output=True, check=False, text=True)
    assert second.returncode == 0, second.stderr
    return ours


@pytest.fixture
def installation(world: World, tmp_path: Path) -> World:
    """Return an installation with a witness, its root's PIN, and two custodians."""
    world.configure(hsm_so_pin=SecretStr(softhsm.SO_PIN), root_pin=SecretStr(softhsm.PIN))
    world.give_role("operator1", "custodian")
    with world.context() as ctx:
        ceremonies.record_ceremony(ctx, world.settings, world.trust)
    world.beat()
    witnessed(world, tmp_path / "witness")
    return world


def test_after_a_restore_and_its_reconciliation_nothing_is_given_out_twice_and_nothing_comes_back(
    installation: World, tmp_path: Path, long_form: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    world, count, life = installation, 50 if long_form else 5, Life()
    reported = 5 if long_form else 3
    first, second = world.ready(OFFICE, "RW", count), world.ready(OFFICE, "RW", count)
    blank = world.personalised(OFFICE, "RW", 3)
    program = world.machine(facts.MAGETAN)
    life.lines += activate(world, first, first.uids)
    life.papers += handed_over(world, blank[:1])
    done(program.get("/cards"))
    sequence(world)
    tell(world)
    recipient = archive.make_key(tmp_path / "key")
    run(world, "backup", tmp_path / "one.age", "--recipient", recipient)
    made_at = world.clock.now()

    world.clock.advance(hours=3)
    world.beat()
    life.lines += activate(world, second, second.uids)
    life.papers += handed_over(world, blank[1:2])
    life.revoked = [*first.uids[: reported - 1], second.uids[0]]
    for uid in life.revoked:
        done(world.client(OFFICE).post(f"/cards/{uid}/reports", {"condition": "lost", "note": "hilang"}))
    with world.context() as ctx:
        end_account(ctx, ctx.session.get_one(User, world.users[LEAVER]), "left")
    assert world.anonymous().open("GET", "/status/1.jws").status_code == 200
    sequence(world)
    tell(world)
    last_at = world.clock.now()
    before = judged(world, life.lines, tmp_path / "before")
    assert before.count("valid") == 2 * count - reported

    begun = time.monotonic()
    world.close()
    run(world, "restore", tmp_path / "one.age", "--identity", tmp_path / "key", "--yes")
    restored = time.monotonic()
    refused = world.client(OFFICE).post("/activations", world.activation(second, second.uids[1]))
    assert (refused.status_code, refused.json["type"].rpartition("/")[2]) == (503, "behind-witness"), refused.json
    assert world.client("operator1").post("/handovers", {"to": str(world.organisation_of(OFFICE)), "cards": blank[2:]}).status_code == 503
    assert done(world.client(OFFICE).get(f"/cards/{first.uids[-1]}"))["state"] == "active"
    assert judged(world, life.lines, tmp_path / "meanwhile") == before  # readers get the last list that was published
    assert compared(world).state == "behind"

    world.client(OFFICE)  # a session that is to end
    told = reconcile(world)
    finished = time.monotonic()
    assert compared(world).state == "sound"
    assert world.sql("SELECT COUNT(*) FROM login_session WHERE ended_at IS NULL AND end_reason = ''")[0][0] == 0
    assert judged(world, life.lines, tmp_path / "after") == before

    fresh = activate(world, second, second.uids)  # the tokens are still theirs, and the manifests are others
    life.papers += handed_over(world, blank[1:])
    assert judged(world, fresh, tmp_path / "fresh") == ["valid"] * count  # none is born revoked
    assert len(set(life.papers)) == len(life.papers)
    for place in (0, 1):
        given = [numbers(line)[place] for line in (*life.lines, *fresh)]
        assert len(set(given)) == len(given)
    assert {said(line)["epoch"] for line in fresh} == {2}
    with world.context() as ctx:
        assert ctx.session.get_one(User, world.users[LEAVER]).state == AccountState.DISABLED
        assert {key.scopes for key in ctx.session.query(ApiKey)} == {""}
        asked = {one.kind for one in ctx.session.query(OpenQuestion)}
    assert program.get("/cards").status_code == 403  # held until its organisation gives it scopes again
    assert {"manifest", "handover", "card"} <= asked, asked
    sequence(world)
    tell(world)
    assert fsck_findings(world) == []
    with capsys.disabled():
        print(
            f"\nRPO: {(last_at - made_at).total_seconds() / 3600:.1f} h between backup and loss, of which everything told is known;"
            f" RTO: restore {restored - begun:.1f} s, reconcile {finished - restored:.1f} s, of {2 * count} manifests"
        )
    assert "questions" in told
