"""Independent verification of the log: by Go's sumdb packages, by the offline verifier, and by the proofs of the API."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sifilma.audit import note, tree
from sifilma.audit.note import Checkpoint
from sifilma.witness import cosigning
from tests.support import programs
from tests.support.transparency_log import act, as_superuser, grown, newest_note, put_back, sequence, show
from tests.support.witness_server import served, serving
from tests.support.world import Client, World, done


@pytest.fixture(scope="module")
def go_verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the Go program; return its path."""
    return programs.go_program(Path(__file__).with_name("foreign.go"), tmp_path_factory.mktemp("go") / "foreign")


def command(world: World, *arguments: str) -> str:
    """Return a function that runs a `sifilma audit` command and returns its output."""
    result = world.app.test_cli_runner().invoke(args=["audit", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def exported(world: World, folder: Path) -> Path:
    path = folder / "log.jsonl"
    path.write_text(command(world, "export"))
    return path


def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(argument) for argument in arguments], check=False, capture_output=True, text=True, timeout=60)


def proofs(auditor: Client, early: Checkpoint) -> list[dict[str, Any]]:
    """Return the API's proofs in the format of the Go program: one for every entry, and one of growth from an earlier checkpoint."""
    checkpoint = done(auditor.get("/audit/checkpoint"))
    found = []
    for seq in range(checkpoint["size"]):
        made = done(auditor.get(f"/audit/{seq}/proof"))
        found.append({name: checkpoint[name] for name in ("size", "root")} | {"index": seq, "leaf": made["leaf"], "hashes": made["hashes"]})
    later = done(auditor.get("/audit/checkpoint", since=early.size))
    old = {"old": early.size, "oldRoot": base64.b64encode(early.root).decode()}
    found.append({"size": later["size"], "root": later["root"], "hashes": later["consistency"]} | old)
    return found


def test_go_builds_the_same_tree_and_accepts_every_proof(world: World, go_verifier: Path, tmp_path: Path) -> None:
    grown(world, 3, 1, 20)
    early = note.claim(newest_note(world))
    grown(world, 11)
    auditor = world.client("auditor1")
    file, given = exported(world, tmp_path), tmp_path / "proofs.jsonl"
    made = proofs(auditor, early)
    given.write_text("".join(json.dumps(proof) + "\n" for proof in made))
    certificate = world.settings.trust / "audit-sign.crt"
    result = run(go_verifier, "-key", certificate, "-proofs", given, file)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{early.size + 11} entries, 4 checkpoints, {len(made)} proofs given\n"
    assert run(go_verifier, file).returncode == 0  # with the key that the file names
    for proof in (made[0], made[-1]):  # the verifier also refuses
        proof["hashes"][0] = base64.b64encode(bytes(32)).decode()
        given.write_text(json.dumps(proof) + "\n")
        assert "proof" in run(go_verifier, "-proofs", given, file).stderr
    assert "checkpoint" in run(go_verifier, "-key", world.settings.trust / "status-sign.crt", file).stderr
    file.write_text(file.read_text().replace("unit.change", "unit.chance", 1))
    assert "do not lead to the checkpoint" in run(go_verifier, file).stderr


def test_the_export_is_verified_without_the_application(sqlite_world: World, tmp_path: Path) -> None:
    world = sqlite_world
    grown(world, 5, 30)
    early = tmp_path / "early.txt"
    early.write_text(command(world, "checkpoint"))
    grown(world, 7)
    file = exported(world, tmp_path)
    offline = [sys.executable, "-m", "sifilma.audit.offline", file, "--checkpoint", early, "--key", world.settings.trust / "audit-sign.crt"]
    size = note.claim(newest_note(world)).size
    result = run(*offline)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{size} entries, 3 checkpoints, root ")
    lines = file.read_text().splitlines(keepends=True)
    broken = {
        "edited": [line.replace("unit.change", "unit.chance") for line in lines],
        "one taken out": lines[:20] + lines[21:],
        "two changed places": [*lines[:20], lines[21], lines[20], *lines[22:]],
        "cut": lines[:10],
        "one put in": [*lines[:20], lines[20], *lines[20:]],
        "a checkpoint of another": [line.replace("sifilma.example", "another.example") for line in lines],
    }
    for what, changed in broken.items():
        file.write_text("".join(changed))
        result = run(*offline)
        assert (result.returncode, bool(result.stderr)) == (1, True), what
    file.write_text("".join(lines))
    assert run(*offline[:-1], world.settings.trust / "status-sign.crt").returncode == 1
    modules = run(sys.executable, "-c", "import sys, sifilma.audit.offline; print(*sys.modules)").stdout
    assert not {"flask", "sqlalchemy", "rfc8785", "pkcs11"} & set(modules.split())


def test_an_export_holds_no_personal_data(sqlite_world: World, tmp_path: Path) -> None:
    world = sqlite_world
    world.submitted("magetan.kepala", "R")
    grown(world, 1)
    # An act on an account or a person names it as its object, as every act does; who acts is in no line.
    lines = exported(world, tmp_path).read_text().splitlines()
    named = ('\\"kind\\":\\"user\\"', '\\"kind\\":\\"person\\"')
    text = "\n".join(line for line in lines if not any(kind in line for kind in named))
    user, person = world.sql("SELECT user_id, person_id FROM audit_entry WHERE user_id IS NOT NULL LIMIT 1")[0]
    assert "personalisation.submit" in text
    for secret in (user, person, "127.0.0.1", "catatan"):
        assert str(secret) not in text.replace("-", "")
    salts = {bytes(salt).hex() for (salt,) in world.sql("SELECT salt FROM audit_entry")}
    assert not [salt for salt in salts if salt in text]


def test_a_leaf_holds_the_entry_and_its_proof_leads_to_the_signed_root(world: World) -> None:
    grown(world, 25)
    auditor = world.client("auditor1")
    listed = done(auditor.get("/audit", action="unit.change"))["items"]
    entry = listed[3]
    made = done(auditor.call("GET", entry["links"]["proof"].removeprefix("/api/v1")))
    leaf = json.loads(made["leaf"])
    assert (leaf["seq"], leaf["id"], leaf["action"]) == (entry["seq"], entry["id"], "unit.change")
    said = note.read_checkpoint(made["checkpoint"]["note"], world.trust.keys("audit"))
    hashes = [base64.b64decode(value) for value in made["hashes"]]
    tree.check_inclusion(base64.b64decode(made["leaf_hash"]), entry["seq"], said.size, hashes, said.root)
    assert tree.leaf_hash(made["leaf"].encode()) == base64.b64decode(made["leaf_hash"])


def test_go_compares_server_and_witness_and_finds_a_fork(world: World, tmp_path: Path) -> None:
    compare = programs.go_program(Path(__file__).with_name("compare.go"), tmp_path / "compare")
    certificate = world.settings.trust / "audit-sign.crt"
    held = cosigning.set_up(tmp_path / "witness", "witness.example.org/sam", world.settings.log_name, world.trust.keys("audit"))
    with serving(held.folder, lambda: world.clock.now().timestamp()) as witness, served(world.app) as server:
        world.configure(witness=witness, witness_key=held.cosigner.vkey)
        command = [compare, "-key", certificate, "-witness-key", held.cosigner.vkey, server, witness]
        grown(world, 5)
        show(world)
        size = note.claim(newest_note(world)).size
        same = run(*command)
        assert (same.returncode, same.stdout) == (0, f"the server's log of {size} entries continues the {size} that the witness has seen\n")
        behind = (held.file(world.settings.log_name)).read_bytes()
        act(world, 7)
        grown(world, 4)
        show(world)
        newest = (held.file(world.settings.log_name)).read_bytes()
        (held.file(world.settings.log_name)).write_bytes(behind)  # a witness that has not seen the newest yet
        later = run(*command)
        assert (later.returncode, f"continues the {size} that" in later.stdout) == (0, True), later.stderr
        (held.file(world.settings.log_name)).write_bytes(newest)
        other = cosigning.set_up(tmp_path / "other", "witness.example.org/sam", world.settings.log_name, world.trust.keys("audit"))
        assert "witness" in run(*command[:4], other.cosigner.vkey, server, witness).stderr
        assert "server" in run(compare, "-key", world.settings.trust / "status-sign.crt", *command[3:]).stderr
        # The operator puts an older database back, and signs what comes then, past the witness.
        put_back(world, size)
        assert "the log was put back" in run(*command).stderr
        world.configure(witness="", witness_key="")
        act(world, 30)
        world.clock.advance(seconds=60)
        as_superuser(world, "DELETE FROM log_cosignature")
        sequence(world)
        forked = run(*command)
        assert (forked.returncode, "the log has forked" in forked.stderr) == (1, True), forked.stderr
