"""The rules of the house hold in every file; and each check is shown to catch a planted fault."""

from __future__ import annotations

import pytest

from tests.support import house
from tests.support.house import PYTHON_RULES, TEXT_RULES, Rule, Source

SERVICE = "sifilma/cards/service.py"
PLANTED: list[tuple[Rule, str, str]] = [
    (house.long_functions, SERVICE, "def f():\n" + "    x = 1\n" * 50),
    (house.long_modules, SERVICE, "x = 1\n" * 451),
    (house.many_decorators, SERVICE, "@a\n@b\n@c\n@d\ndef f(): ...\n"),
    (house.committing, SERVICE, "session.commit()\n"),
    (house.committing, "sifilma/sign_in/service.py", "context.unit.commit()\n"),
    (house.catching_everything, SERVICE, "try:\n    pass\nexcept Exception:\n    pass\n"),
    (house.catching_everything, SERVICE, "try:\n    pass\nexcept (ValueError, BaseException):\n    pass\n"),
    (house.catching_everything, SERVICE, "try:\n    pass\nexcept:  # noqa: BLE001\n    pass\n"),
    (house.asking_the_time, SERVICE, "datetime.now(UTC)\n"),
    (house.asking_the_time, SERVICE, "datetime.datetime.utcnow()\n"),
    (house.asking_the_time, SERVICE, "time.time()\n"),
    (house.printing, SERVICE, "print('x')\n"),
    (house.foreign_models, "sifilma/handover/views.py", "from sifilma.cards.models import Card\n"),
    (house.foreign_models, "sifilma/api/cards.py", "from sifilma.cards import models\n"),
    (house.unexpected_libraries, "manifests/jws.py", "import joserfc.jws\n"),
    (house.unexpected_libraries, "hsm/token.py", "from sifilma.kernel import clock\n"),
    (house.untranslatable, SERVICE, "raise Conflict(f'The card is {state}')\n"),
    (house.untranslatable, SERVICE, "raise errors.Conflict('The card is ' + state)\n"),
    (house.untranslatable, SERVICE, "raise Invalid.field('x', 'The card is %s' % state)\n"),
    (house.untranslatable, SERVICE, "raise Invalid.field('x', message='The card is {}'.format(state))\n"),
    (house.untranslatable, SERVICE, "errors = [{'field': 'x', 'message': f'{uid} is busy'}]\n"),
    (house.untranslatable, SERVICE, "errors = [{'field': 'x', 'message': 'The card is busy.'}]\n"),
    (house.untranslatable, SERVICE, "yield 'x', f'The card {uid} is busy.'\n"),
    (house.untranslatable, SERVICE, "RowError(1, 'x', f'{uid} is busy')\n"),
    (house.untranslatable, SERVICE, "BUSY = 'The card is busy.'\nraise Conflict(BUSY)\n"),
    (house.untranslatable, "sifilma/cards/schemas.py", "raise ValueError(f'{uid} has {n} digits')\n"),
    (house.skipping, "tests/test_x.py", "@pytest.mark.skipif(True)\ndef test(): ...\n"),
    (house.skipping, "tests/test_x.py", "def test(): pytest.skip('later')\n"),
    (house.unexplained_ignores, SERVICE, "x = y  # type" + ": ignore\n"),
    (house.unexplained_ignores, SERVICE, "x = y  # type" + ": ignore[arg-type]\n"),
    (house.registry_hosts, "requirements/run.txt", "--index-url https://example.org/simple\n"),
    (house.registry_hosts, "requirements/run.txt", "flask @ https://example.org/flask.whl\n"),
    (house.registry_hosts, "package-lock.json", '"resolved": "https://example.org/jose.tgz",\n'),
    (house.registry_hosts, ".npmrc", "registry=https://example.org\n"),
    (house.machine_paths, "config/sifilma.service", "ExecStart=/" + "home/ani/sifilma/.venv/bin/sifilma\n"),
]
SOUND: list[tuple[Rule, str, str]] = [
    (house.long_functions, SERVICE, "def f():\n" + "    x = 1\n" * 49),
    (house.committing, "sifilma/web/application.py", "unit.commit()\n"),
    (house.catching_everything, SERVICE, "try:\n    pass\nexcept BaseException:  # noqa: BLE001  # the thread's edge\n    pass\n"),
    (house.asking_the_time, SERVICE, "clock.now()\ntime.monotonic()\n"),
    (house.foreign_models, "sifilma/cards/views.py", "from sifilma.cards.models import Card\n"),
    (house.unexpected_libraries, "manifests/jws.py", "import json\nfrom cryptography import x509\n"),
    (house.untranslatable, SERVICE, "BUSY = say('The card is busy.')\nraise Conflict(BUSY)\n"),
    (house.untranslatable, SERVICE, "raise Conflict(say('The card is %(state)s.', state=state), state=f'{state}')\n"),
    (house.untranslatable, SERVICE, "log.info(f'{uid} seen')\nraise LogBroken(f'The entry {uid} is gone.')\n"),
    (house.untranslatable, "sifilma/cards/cli.py", "raise Invalid(f'There is no file {name}.')\n"),
    (house.unexplained_ignores, SERVICE, "x = y  # type" + ": ignore[arg-type]  # the stub lacks it\n"),
    (house.registry_hosts, "requirements/run.txt", "flask==3.1.3 \\\n    --hash=sha256:00\n"),
    (house.machine_paths, "README.md", "see https://example.org/home/page and tests/home/x\n"),
]


def _name(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize("rule", PYTHON_RULES, ids=_name)
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    assert [str(fault) for source in house.python_sources() for fault in rule(source)] == []


@pytest.mark.parametrize("rule", TEXT_RULES, ids=_name)
def test_every_text_keeps_the_rule(rule: Rule) -> None:
    assert [str(fault) for source in house.text_sources() for fault in rule(source)] == []


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_a_planted_fault_is_caught(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text)))


@pytest.mark.parametrize(("rule", "path", "text"), SOUND)
def test_what_is_allowed_is_left_alone(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text))) == []


def test_every_rule_has_a_planted_fault() -> None:
    assert {rule for rule, _, _ in PLANTED} == {*PYTHON_RULES, *TEXT_RULES}


def test_the_tree_is_really_read() -> None:
    paths = {source.path for source in house.python_sources()}
    assert {"app.py", "config/settings.py", "hsm/module.py", "manifests/verifier.py", "sifilma/kernel/db.py", "tests/conftest.py"} <= paths
    texts = {source.path for source in house.text_sources()}
    assert {"Makefile", "scripts/setup.sh", ".ci/run", "requirements/run.txt", "package-lock.json", ".npmrc"} <= texts
