"""Threads, forks and parallel starts: what crashed SoftHSM does not crash it any more."""

from __future__ import annotations

from subprocess import CompletedProcess

from hsm import HSM
from tests.hsm.token_access import run, script


def broken(done: CompletedProcess[str]) -> bool:
    """Killed by a signal (or by us, where it hung), or told GeneralError by a library that lost its senses."""
    return done.returncode < 0 or "GeneralError" in done.stderr


def test_eight_threads_of_mixed_operations_do_no_harm(shared_token: HSM) -> None:
    done = run(script("concurrent_calls", shared_token, "4", "on"), 90)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_without_locking_the_same_threads_break_the_library(shared_token: HSM) -> None:
    """The planted fault: where this does not fail, the test above says nothing. Seldom a run is lucky, never three."""
    assert any(broken(run(script("concurrent_calls", shared_token, "3", "off"), 8)) for _ in range(3))


def test_the_library_is_restarted_under_threads_that_sign_and_no_signature_fails(shared_token: HSM) -> None:
    done = run(script("restarts", shared_token), 90)
    assert (done.returncode, done.stdout) == (0, "40\n"), done.stderr


def test_forked_children_and_their_parent_go_on_signing(shared_token: HSM) -> None:
    done = run(script("forked_children", shared_token), 90)
    assert (done.returncode, done.stdout) == (0, "[0, 0, 0, 0]\n"), done.stderr


def test_processes_that_start_at_once_all_find_their_token(shared_token: HSM) -> None:
    done = run(script("parallel_starts", shared_token, "6", "10"), 90)
    assert (done.returncode, done.stdout) == (0, "0 0 0 0 0 0\n" * 10), done.stderr
