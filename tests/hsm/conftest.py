"""Every test begins with a library at rest: no throttled restart, no latched PIN, no open breaker of the test before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hsm import HSM
from hsm.keys import SIGNING_PLAN
from hsm.module import Module
from tests.support.softhsm import SoftHSM


@pytest.fixture(autouse=True)
def library(softhsm: SoftHSM) -> Iterator[Module]:
    """The library of this process, closed before and after."""
    module = Module.at(softhsm.module_path)
    module.close()
    yield module
    module.close()


@pytest.fixture(scope="session")
def shared_token(softhsm: SoftHSM) -> HSM:
    """A token for other processes."""
    return softhsm.token("processes", SIGNING_PLAN)
