"""Tests of tests/support: its databases, its tokens and its programs are real."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from hsm import HSM, HSMError
from hsm.keys import SIGNING_PLAN
from sifilma.kernel.db import make_engine
from sifilma.schema import migrate
from tests.support import programs
from tests.support.databases import Cluster, Fresh
from tests.support.softhsm import SoftHSM

DIGEST = bytes(32)


def _ask(url: str, question: str, *, first: str = "SELECT 1") -> Any:
    engine = make_engine(url, pool_size=1)
    try:
        with engine.begin() as connection:
            connection.execute(text(first))
            return connection.execute(text(question)).scalar_one()
    finally:
        engine.dispose()


def _signed_within(seconds: float, token: HSM) -> bytes:
    """Sign, and retry until the library is restarted and its circuit breaker lets a call through."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return token.sign("manifest-sign", DIGEST)
        except HSMError:
            time.sleep(0.2)
    return token.sign("manifest-sign", DIGEST)


def test_a_fresh_database_has_the_newest_schema_and_the_regions(database_url: str) -> None:
    assert migrate.check(database_url).ok
    assert _ask(database_url, "SELECT count(*) FROM region") > 80_000


def test_a_change_in_one_database_is_not_seen_in_another(fresh_databases: Fresh) -> None:
    one, other = fresh_databases.make(), fresh_databases.make()
    question = "SELECT name FROM region WHERE code = '35.20'"
    assert _ask(one, question, first="UPDATE region SET name = 'changed' WHERE code = '35.20'") == "changed"
    assert _ask(other, question) != "changed"
    fresh_databases.remove(one)
    fresh_databases.remove(other)


def test_a_frozen_server_answers_nothing_and_continues_when_resumed(pg_cluster: Cluster) -> None:
    with pg_cluster.frozen(), pytest.raises(psycopg.OperationalError):
        psycopg.connect(pg_cluster.url("postgres"), connect_timeout=2)
    with psycopg.connect(pg_cluster.url("postgres"), connect_timeout=2) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_token_that_is_away_fails_until_it_is_back(softhsm: SoftHSM) -> None:
    token = softhsm.token("away", SIGNING_PLAN[:1])
    assert len(token.sign("manifest-sign", DIGEST)) == 64
    with softhsm.away(), pytest.raises(HSMError):
        token.sign("manifest-sign", DIGEST)
    assert len(_signed_within(15.0, token)) == 64


def test_the_tokens_have_their_keys(signing_token: HSM, root_token: HSM) -> None:
    keys = signing_token.keys()
    assert [info.label for info in keys] == [plan.label for plan in SIGNING_PLAN]
    assert len(root_token.sign("root", DIGEST)) == 64


@pytest.mark.parametrize("name", ["jose", "openssl", "pdftotext", "pdfsig", "softhsm2-util"])
def test_the_program_is_installed(name: str) -> None:
    assert programs.program(name)


def test_node_has_web_crypto() -> None:
    script = "crypto.subtle.digest('SHA-256', new Uint8Array()).then(() => console.log('yes'))"
    done = subprocess.run([*programs.node(), "-e", script], capture_output=True, text=True, check=True)
    assert done.stdout == "yes\n"


def test_the_error_for_a_missing_program_names_the_setup_script() -> None:
    with pytest.raises(programs.ProgramMissing, match=r"run scripts/setup\.sh"):
        programs.program("no-such-program")
