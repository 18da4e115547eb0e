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
from sqlalchemy import select

from manifests.encoding import from_b64url
from manifests.verifier import Expectations, verify
from sifilma.accounts.service import end_account
from sifilma.activation.trust import ceremonies, keyset
from sifilma.backup import archive
from sifilma.demo import facts
from sifilma.identity.models import AccountState, ApiKey, User
from sifilma.reconciliation.models import OpenQuestion
from tests.support import programs, softhsm
from tests.support.fsck_findings import fsck_findings
from tests.support.transparency_log import sequence
from tests.support.witness import compared, tell, witnessed
from tests.support.world import Client, Ready, World, done
from tests.vectors import make

OFFICE, LEAVER = "magetan.kepala", "magetan.staf"
CUSTODIANS = ("kustodian1", "operator1")
VERIFIER = make.FOLDER / "verifier.mjs"


@dataclass
class Life:
    """What left the installation: signed manifests, and the numbers of papers."""

    lines: list[str] = field(default_factory=list)
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
        published = Path(it["status"]["uri"]).name
        status = f"status-{published}"
        if not (folder / status).exists():
            (folder / status).write_bytes(world.anonymous().open("GET", f"/status/{published}").get_data())
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


@dataclass
class Drill:
    """An installation in its drill: what left it, and the cards that are activated before and after the backup."""

    world: World
    folder: Path
    first: Ready
    second: Ready
    blank: list[str]
    life: Life = field(default_factory=Life)

    def backed_up(self) -> None:
        """Issue the first half, and back up."""
        self.life.lines += activate(self.world, self.first, self.first.uids)
        self.life.papers += handed_over(self.world, self.blank[:1])
        sequence(self.world)
        tell(self.world)
        run(self.world, "backup", self.folder / "one.age", "--recipient", archive.make_key(self.folder / "key"))

    def went_on(self, reported: int) -> None:
        """Issue the second half, report cards of both, register a card that the backup lacks, disable somebody."""
        world = self.world
        world.clock.advance(hours=3)
        world.beat()
        self.life.lines += activate(world, self.second, self.second.uids)
        self.life.papers += handed_over(world, self.blank[1:2])
        world.personalised(OFFICE, "RW", 1)
        for uid in (*self.first.uids[: reported - 1], self.second.uids[0]):
            done(world.client(OFFICE).post(f"/cards/{uid}/reports", {"condition": "lost", "note": "hilang"}))
        with world.context() as ctx:
            end_account(ctx, ctx.session.get_one(User, world.users[LEAVER]), "left")
        assert world.anonymous().open("GET", "/status/1.jws").status_code == 200
        sequence(world)
        tell(world)

    def refuses_to_issue(self) -> None:
        """Nothing is issued by the older database; reading goes on."""
        world, office = self.world, self.world.client(OFFICE)
        refused = office.post("/activations", world.activation(self.second, self.second.uids[1]))
        assert (refused.status_code, refused.json["type"].rpartition(":")[2]) == (503, "behind-witness"), refused.json
        body = {"to": str(world.organisation_of(OFFICE)), "cards": self.blank[2:]}
        assert world.client("operator1").post("/handovers", body).status_code == 503
        assert done(office.get(f"/cards/{self.first.uids[-1]}"))["state"] == "active"
        assert compared(world).state == "behind"

    def gives_nothing_out_twice(self) -> None:
        """Issue the second half again, with the same tokens: every number is a new one, and nothing is born revoked."""
        fresh = activate(self.world, self.second, self.second.uids[1:])  # the first one was reported as lost, and is so again
        self.life.papers += handed_over(self.world, self.blank[1:])
        assert judged(self.world, fresh, self.folder / "fresh") == ["valid"] * len(fresh)
        assert len(set(self.life.papers)) == len(self.life.papers)
        for place in (0, 1):
            given = [numbers(line)[place] for line in (*self.life.lines, *fresh)]
            assert len(set(given)) == len(given)
        assert {said(line)["epoch"] for line in fresh} == {2}

    def brings_nobody_back(self, program: Client) -> None:
        """Who was disabled stays so, sessions have ended, programs wait for their organisation, and people are asked about the rest."""
        with self.world.context() as ctx:
            assert ctx.session.get_one(User, self.world.users[LEAVER]).state == AccountState.DISABLED
            assert {key.scopes for key in ctx.session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None)))} == {""}
            asked = {one.kind for one in ctx.session.scalars(select(OpenQuestion))}
        assert program.get("/cards").status_code == 403
        assert {"manifest", "handover", "card", "personalisation_request"} <= asked, asked


def test_after_a_restore_and_its_reconciliation_nothing_is_given_out_twice_and_nothing_comes_back(
    installation: World, tmp_path: Path, long_form: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    world, count, reported = installation, 50 if long_form else 4, 5 if long_form else 3
    ready = [world.ready(OFFICE, "RW", count) for _ in range(2)]
    program = world.machine(facts.MAGETAN)
    drill = Drill(world, tmp_path, ready[0], ready[1], world.personalised(OFFICE, "RW", 3))
    done(program.get("/cards"))
    drill.backed_up()
    made_at = world.clock.now()
    drill.went_on(reported)
    before = judged(world, drill.life.lines, tmp_path / "before")
    assert before.count("valid") == 2 * count - reported

    begun, last_at = time.monotonic(), world.clock.now()
    world.close()
    run(world, "restore", tmp_path / "one.age", "--identity", tmp_path / "key", "--yes")
    restored = time.monotonic()
    drill.refuses_to_issue()
    assert judged(world, drill.life.lines, tmp_path / "meanwhile") == before  # readers get the last list that was published

    again = time.monotonic()
    assert "questions" in reconcile(world)
    finished = time.monotonic()
    assert compared(world).state == "sound"
    assert world.sql("SELECT COUNT(*) FROM login_session WHERE ended_at IS NULL") == [(0,)]
    assert judged(world, drill.life.lines, tmp_path / "after") == before
    drill.gives_nothing_out_twice()
    drill.brings_nobody_back(program)
    sequence(world)
    tell(world)
    assert fsck_findings(world) == []
    with capsys.disabled():
        print(
            f"\nRPO: {(last_at - made_at).total_seconds() / 3600:.1f} h between backup and loss, of which everything told is known;"
            f" RTO: restore {restored - begun:.1f} s, reconcile {finished - again:.1f} s, of {2 * count} manifests"
        )
