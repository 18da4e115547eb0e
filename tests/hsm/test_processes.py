"""SoftHSM survives threads, restarts, forks and parallel starts, each of which once crashed it."""

from __future__ import annotations

from subprocess import CompletedProcess

from hsm import HSM
from tests.hsm.token_access import run, script


def crashed(done: CompletedProcess[str]) -> bool:
    """Tell whether the process was killed by a signal (or by `run` because it hung) or got CKR_GENERAL_ERROR from the library."""
    return done.returncode < 0 or "GeneralError" in done.stderr


def test_eight_threads_of_mixed_operations_all_succeed(shared_token: HSM) -> None:
    done = run(script("concurrent_calls", shared_token, "4", "on"), 90)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_the_same_threads_crash_the_library_without_locking(shared_token: HSM) -> None:
    """The planted fault: if it did not crash, the test above would prove nothing. A single run may survive, so three are tried."""
    assert any(crashed(run(script("concurrent_calls", shared_token, "3", "off"), 8)) for _ in range(3))


def test_no_signature_fails_while_the_library_is_restarted(shared_token: HSM) -> None:
    done = run(script("restarts", shared_token), 90)
    assert (done.returncode, done.stdout) == (0, "40\n"), done.stderr


def test_forked_children_and_their_parent_continue_to_sign(shared_token: HSM) -> None:
    done = run(script("forked_children", shared_token), 90)
    assert (done.returncode, done.stdout) == (0, "[0, 0, 0, 0]\n"), done.stderr


def test_processes_that_start_at_the_same_moment_all_sign(shared_token: HSM) -> None:
    done = run(script("parallel_starts", shared_token, "6", "10"), 90)
    assert (done.returncode, done.stdout) == (0, "0 0 0 0 0 0\n" * 10), done.stderr
