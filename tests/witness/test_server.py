"""The witness server: it cosigns what continues what it has seen, keeps statements, and never goes back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sifilma.audit.cosignature import cosigner_of, read_cosignature
from sifilma.audit.note import NoteRefused, claim
from sifilma.witness import cosigning
from sifilma.witness.contract import WitnessAway, WitnessDiffers
from sifilma.witness.cosigning import CosigningFolder, WitnessBroken
from sifilma.witness.http import AnotherSize, Forked, HttpWitness
from sifilma.witness.views import application
from sifilma.witness.wire import submission
from tests.support.witness import otherwise_signed
from tests.support.witness_server import NAME, ORIGIN, SmallLog, program, serving, witness_of

NOW = 1_900_000_000


@pytest.fixture
def log() -> SmallLog:
    return SmallLog()


@pytest.fixture
def folder(log: SmallLog, tmp_path: Path) -> Path:
    return witness_of(log, tmp_path / "witness").folder


@pytest.fixture
def client(folder: Path) -> Any:
    return application(folder, lambda: NOW).test_client()


def post(client: Any, log: SmallLog, old: int, new: int, **other: Any) -> Any:
    asked = {"proof": log.proof(old, new) if "proof" not in other else [], "note": log.note(new)} | other
    return client.post("/add-checkpoint", data=submission(old, asked["proof"], asked["note"]).encode())


def test_it_cosigns_a_log_that_grows_and_shows_what_it_cosigned(client: Any, log: SmallLog, folder: Path) -> None:
    assert (client.get("/checkpoint").status_code, client.get("/checkpoint").data) == (404, b"0\n")
    cosigner = cosigner_of(client.get("/").text.splitlines()[0])
    answer = client.get("/")
    for old, new in ((0, 3), (3, 4), (4, 11), (11, 11), (11, 200)):
        answer = post(client, log, old, new)
        assert answer.status_code == 200, answer.text
        assert read_cosignature(log.note(new).partition("\n\n")[0] + "\n\n" + answer.text, cosigner).at == NOW
    shown = client.get("/checkpoint").text
    assert (claim(shown).size, claim(shown).origin) == (200, ORIGIN)
    assert read_cosignature(shown, cosigner).line == answer.text
    lines = [json.loads(line)["note"] for line in (CosigningFolder(folder).file(ORIGIN)).read_text().splitlines()]
    assert [claim(one).size for one in lines] == [3, 4, 11, 200]  # what was cosigned again is no new state
    with pytest.raises(NoteRefused):
        read_cosignature(shown.replace("\n200\n", "\n201\n"), cosigner)
    with pytest.raises(NoteRefused, match="did not cosign"):
        read_cosignature(log.note(200), cosigner)
    other = witness_of(log, folder.parent / "other").cosigner
    with pytest.raises(NoteRefused, match="did not cosign"):
        read_cosignature(shown, other)


def test_it_answers_refusals_as_the_specification_says(client: Any, log: SmallLog) -> None:
    forked, stranger, foreign = SmallLog("fork", log.key), SmallLog(), SmallLog(key=log.key, origin="another.example/log")
    assert post(client, log, 0, 5, proof=[bytes(32)]).status_code == 422  # nothing is to be proven from nothing
    assert post(client, log, 0, 5).status_code == 200
    expected = {
        404: post(client, foreign, 5, 9),
        403: post(client, stranger, 5, 9),
        422: post(client, forked, 5, 9),
        400: post(client, log, 10, 9, proof=[]),
    }
    assert {status: answer.status_code for status, answer in expected.items()} == {status: status for status in expected}
    for answer in (post(client, log, 0, 9), post(client, log, 4, 9), post(client, forked, 5, 5)):
        assert (answer.status_code, answer.data, answer.content_type) == (409, b"5\n", "text/x.tlog.size")
    assert post(client, log, 5, 9, proof=[]).status_code == 422
    assert post(client, log, 5, 9, proof=[*log.proof(5, 9), bytes(32)]).status_code == 422
    good = submission(5, log.proof(5, 9), log.note(9))
    for wrong in (
        b"", b"\xff", b"old 5", good.replace("old 5", "old 05").encode(), good.replace("old 5", "old -5").encode(), good.encode()[:-1],
        good.replace("old 5", "new 5").encode(), submission(5, [bytes(31)], log.note(9)).encode(), good.replace("\n", "\r\n").encode(),
        submission(5, [bytes(32)] * 64, log.note(9)).encode(), good.replace("old 5", "old " + "9" * 30).encode(),
    ):  # fmt: skip
        assert client.post("/add-checkpoint", data=wrong).status_code == 400, wrong
    line = "\u2014 another.example/log " + "A" * 96 + "\n"
    padded = log.note(9) + line * 120  # lines of others count for nothing, and are kept with the note
    assert client.post("/add-checkpoint", data=submission(5, log.proof(5, 9), padded).encode()).status_code == 400
    assert claim(client.get("/checkpoint").text).size == 5
    few = log.note(9) + line * 40
    assert client.post("/add-checkpoint", data=submission(5, log.proof(5, 9), few).encode()).status_code == 200
    assert claim(client.get("/checkpoint").text).size == 9
    assert post(client, log, 9, 12).status_code == 200
    assert client.get("/add-checkpoint").status_code == 405


def test_it_keeps_statements_of_its_installation_each_after_the_one_before(client: Any, log: SmallLog) -> None:
    first, forged = log.statement(1, name="serial", end=1000), SmallLog().statement(1, name="serial", end=1000)
    second = log.statement(2, first, name="serial", end=2000)
    assert client.post("/statements/1", data=forged).status_code == 403
    assert client.post("/statements/2", data=second).status_code == 409
    assert client.post("/statements/1", data=first).status_code == 201
    assert client.post("/statements/1", data=first).status_code == 201  # the answer was lost
    assert (client.post("/statements/1", data=log.statement(1, end=7)).status_code, client.get("/statements").data) == (409, b"1\n")
    for wrong in (log.statement(3, first), log.statement(2, second), log.statement(2), b"x", b"", first, otherwise_signed(second)):
        assert client.post("/statements/2", data=wrong).status_code == 403, wrong
    assert client.post("/statements/2", data=second).status_code == 201
    assert (client.get("/statements/2").data, client.get("/statements/2").content_type) == (second, "application/jose")
    assert [client.get(f"/statements/{number}").status_code for number in (0, 3, 10**400)] == [404] * 3
    assert client.post(f"/statements/{10**400}", data=second).status_code == 409
    assert client.get("/statements").data == b"2\n"


def test_a_witness_is_set_up_once_and_told_of_further_keys(log: SmallLog, folder: Path, tmp_path: Path) -> None:
    before = (folder / cosigning.KEY).read_bytes()
    with pytest.raises(WitnessBroken, match="not empty"):
        witness_of(log, folder)
    assert (folder / cosigning.KEY).read_bytes() == before
    assert (folder / cosigning.KEY).stat().st_mode & 0o077 == 0
    later = SmallLog()
    client = application(folder).test_client()
    assert post(client, later, 0, 3).status_code == 403
    cosigning.trust(folder, later.key.public_key())
    cosigning.trust(folder, later.key.public_key())
    assert post(client, later, 0, 3).status_code == 200
    for wrong in ("", "a b", "a+b", "x" * 121):
        with pytest.raises(NoteRefused):
            cosigning.set_up(tmp_path / "new", wrong, ORIGIN, [log.key.public_key()])
    (folder / cosigning.KEY).unlink()
    with pytest.raises(WitnessBroken, match="not set up"):
        application(folder)
    vkey = witness_of(log, tmp_path / "third").cosigner.vkey
    for wrong in ("", "x+00000000+AAAA", vkey.replace("+", "x+", 1), vkey[:-4]):
        with pytest.raises(NoteRefused):
            cosigner_of(wrong)


def test_a_half_written_line_counts_as_unwritten_and_a_changed_one_stops_the_witness(client: Any, log: SmallLog, folder: Path) -> None:
    assert post(client, log, 0, 5).status_code == 200
    file = CosigningFolder(folder).file(ORIGIN)
    whole = file.read_bytes()
    assert post(client, log, 5, 9).status_code == 200
    more = file.read_bytes()
    for half in (more[:-1], more[: len(whole) + 10], whole + b"\0" * 300):
        file.write_bytes(half)
        assert claim(client.get("/checkpoint").text).size == 5
        assert post(client, log, 9, 12).status_code == 409
        assert post(client, log, 5, 9).status_code == 200
        assert len(file.read_bytes().splitlines()) == 2
    file.write_bytes(more.replace(b"\\n9\\n", b"\\n8\\n"))
    for answer in (client.get("/checkpoint"), post(client, log, 9, 12), post(client, log, 5, 12)):
        assert answer.status_code == 500
    with pytest.raises(WitnessBroken, match="not what this witness wrote"):
        application(folder)


WRITER = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sifilma.witness.cosigning import CosigningFolder
from sifilma.witness.wire import Submission
from tests.support.witness_server import SmallLog
held, log = CosigningFolder(Path(sys.argv[1])), SmallLog(key=load_pem_private_key(Path(sys.argv[2]).read_bytes(), None))
old = 0
for new in range(1, 100000):
    held.add(Submission(old, log.proof(old, new), log.note(new)), new)
    old = new
    print(new, flush=True)
"""


def test_what_was_answered_is_there_after_a_kill(log: SmallLog, folder: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PrivateFormat.PKCS8
    (tmp_path / "key").write_bytes(log.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    running = subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(tmp_path / "key")], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    while int(running.stdout.readline()) < 40:
        pass
    running.send_signal(signal.SIGKILL)
    with running.stdout as rest:
        answered = max([40, *(int(line) for line in rest.read().splitlines(keepends=True) if line.endswith("\n"))])
    running.wait()
    newest = claim(CosigningFolder(folder).newest(ORIGIN) or "").size
    assert newest >= answered
    client = application(folder).test_client()
    assert post(client, log, newest, newest + 5).status_code == 200


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmallLog, Path, str]]:
    """A server of two processes whose files may have 1,500 bytes, with its log."""
    log, folder = SmallLog(), tmp_path_factory.mktemp("small") / "witness"
    witness_of(log, folder)
    with program(folder, "--processes", "2", largest=1500) as (url, _):
        yield log, folder, url


def test_of_many_that_ask_at_once_one_history_is_cosigned(small_disk: tuple[SmallLog, Path, str]) -> None:
    log, folder, url = small_disk
    witness = HttpWitness(url, CosigningFolder(folder).cosigner)
    forks = [SmallLog(f"fork {number}", log.key) for number in range(12)]

    def ask(fork: SmallLog) -> int:
        try:
            witness.cosign(0, [], fork.note(3), time.time())
        except WitnessDiffers:
            return 0
        return 1

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(ask, forks)) == 1
    assert len((CosigningFolder(folder).file(ORIGIN)).read_text().splitlines()) == 1
    root = claim(CosigningFolder(folder).newest(ORIGIN) or "").root
    [mine] = [fork for fork in forks if fork.root(0, 3) == root]

    # A full disk: nothing is cosigned, nothing half is left, and what was there is still told.
    size = 3
    while _cosigns(witness, mine, size, size + 1):
        size += 1
    assert size > 3
    kept = witness.checkpoint(ORIGIN)
    assert kept is not None
    assert (kept.size, kept.root) == (size, mine.root(0, size))
    assert (CosigningFolder(folder).file(ORIGIN)).read_bytes().endswith(b"\n")
    large = log.statement(1, text="x" * 2000)
    with pytest.raises(WitnessAway, match="507"):
        witness.append(1, large)
    assert witness.count() == 0
    witness.append(1, log.statement(1, name="serial", end=5))
    assert witness.count() == 1
    # On a larger disk it goes on from there.
    with serving(folder, time.time) as roomy:
        assert HttpWitness(roomy, witness.cosigner).cosign(size, mine.proof(size, 40), mine.note(40), time.time())
    with pytest.raises(AnotherSize):
        witness.cosign(size, mine.proof(size, 41), mine.note(41), time.time())
    other = next(fork for fork in forks if fork is not mine)
    with pytest.raises(Forked):
        witness.cosign(40, other.proof(40, 41), other.note(41), time.time())


def _cosigns(witness: HttpWitness, log: SmallLog, old: int, new: int) -> bool:
    try:
        witness.cosign(old, log.proof(old, new), log.note(new), time.time())
    except WitnessAway as away:
        if "507" not in str(away):
            raise
        return False
    return True


def test_the_server_needs_no_installation_and_bounds_what_it_reads(small_disk: tuple[SmallLog, Path, str]) -> None:
    _, folder, url = small_disk
    about = httpx.get(f"{url}/")
    assert about.text.splitlines() == [CosigningFolder(folder).cosigner.vkey, ORIGIN]
    assert about.text.startswith(f"{NAME}+")
    assert httpx.post(f"{url}/add-checkpoint", content=b"x" * (5 * 1024 * 1024)).status_code == 413
    assert httpx.get(f"{url}/nothing").status_code == 404
