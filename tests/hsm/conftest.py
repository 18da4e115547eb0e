"""Fixtures that close the PKCS#11 library around every test, which ends any restart throttle, latched PIN or open breaker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hsm import HSM
from hsm.keys import SIGNING_PLAN
from hsm.module import Module
from tests.support.softhsm import SoftHSM


@pytest.fixture(autouse=True)
def library(softhsm: SoftHSM) -> Iterator[Module]:
    """Yield the library of this process, closed before and after the test."""
    module = Module.at(softhsm.module_path)
    module.close()
    yield module
    module.close()


@pytest.fixture(scope="session")
def shared_token(softhsm: SoftHSM) -> HSM:
    """Return a token for the scripts that run in other processes."""
    return softhsm.token("processes", SIGNING_PLAN)
