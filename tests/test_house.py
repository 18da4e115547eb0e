"""The rules of the house hold in every file; and each check is shown to catch a planted fault."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.support import house, rooms
from tests.support.house import PYTHON_RULES, TEXT_RULES, Rule, Source
from tests.support.rooms import TREE_RULES, TreeRule

SERVICE = "sifilma/cards/service.py"
PLANTED: list[tuple[Rule, str, str]] = [
    (house.long_functions, SERVICE, "def f():\n" + "    x = 1\n" * 50),
    (house.long_modules, SERVICE, "x = 1\n" * 451),
    (house.many_decorators, SERVICE, "@a\n@b\n@c\n@d\ndef f(): ...\n"),
    (house.committing, SERVICE, "session.commit()\n"),
    (house.committing, "sifilma/sign_in/service.py", "context.unit.commit()\n"),
    (house.committing, "sifilma/sign_in/request_gate.py", "unit.commit()\n"),
    (house.committing, "sifilma/activation/tasks.py", "ctx.uow.commit()\n"),
    (house.committing, "sifilma/accounts/cli.py", "ctx.uow.commit()\n"),
    (house.catching_everything, SERVICE, "try:\n    pass\nexcept Exception:\n    pass\n"),
    (house.catching_everything, SERVICE, "try:\n    pass\nexcept (ValueError, BaseException):\n    pass\n"),
    (house.catching_everything, SERVICE, "try:\n    pass\nexcept:  # noqa: BLE001\n    pass\n"),
    (house.asking_the_time, SERVICE, "datetime.now(UTC)\n"),
    (house.asking_the_time, SERVICE, "datetime.datetime.utcnow()\n"),
    (house.asking_the_time, SERVICE, "time.time()\n"),
    (house.printing, SERVICE, "print('x')\n"),
    (house.printing, "sifilma/activation/tasks.py", "print('x')\n"),
    (house.foreign_models, "sifilma/handover/views.py", "from sifilma.cards.models import Card\n"),
    (house.foreign_models, "sifilma/api/cards.py", "from sifilma.cards import models\n"),
    (house.foreign_models, "sifilma/reports/card_views.py", "from sifilma.cards.models import Card\n"),
    (house.foreign_models, "sifilma/activation/issuing/history_views.py", "import sifilma.identity.models\n"),
    (house.foreign_models, "sifilma/accounts/views.py", "def f():\n    from sifilma.identity import models\n"),
    (house.seeing_the_request, SERVICE, "from flask import current_app\n"),
    (house.seeing_the_request, SERVICE, "from flask import url_for\n"),
    (house.seeing_the_request, SERVICE, "import flask\n"),
    (house.seeing_the_request, SERVICE, "from flask_login import current_user\n"),
    (house.seeing_the_request, SERVICE, "settings = resources().settings\n"),
    (house.seeing_the_request, "sifilma/activation/issuing/statements.py", "from flask import g\n"),
    (house.seeing_the_request, "sifilma/kernel/db.py", "from flask.globals import app_ctx\n"),
    (house.seeing_the_request, "sifilma/activation/tasks.py", "from flask import session\n"),
    (house.seeing_the_request, "sifilma/documents/responses.py", "from flask import Response, request\n"),
    (house.seeing_the_request, "sifilma/documents/lists.py", "import flask\n"),
    (house.seeing_the_request, "sifilma/reports/decision_notices.py", "from sifilma import resources\nresources.resources()\n"),
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
    (house.strange_lookups, SERVICE, "def cards(ctx) -> Listing[Card]: ...\n"),
    (house.strange_lookups, SERVICE, "def cards(ctx) -> Select[Card]: ...\n"),
    (house.strange_lookups, SERVICE, "def get_card(ctx) -> Card | None: ...\n"),
    (house.strange_lookups, SERVICE, "def find_card(ctx) -> Card: ...\n"),
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
    (house.printing, "sifilma/cards/cli.py", "print('x')\n"),
    (house.foreign_models, "sifilma/cards/views.py", "from sifilma.cards.models import Card\n"),
    (house.foreign_models, "sifilma/reports/card_page.py", "from sifilma.cards.models import Card\n"),
    (house.foreign_models, "sifilma/reports/card_views.py", "from sifilma.cards.service import get_card\n"),
    (house.seeing_the_request, "sifilma/reports/card_views.py", "from flask import g, request\nresources().settings\n"),
    (house.seeing_the_request, "sifilma/documents/forms.py", "from flask import request\n"),
    (house.seeing_the_request, "sifilma/accounts/cli.py", "from flask.cli import AppGroup\nresources().settings\n"),
    (house.seeing_the_request, "sifilma/documents/responses.py", "from flask import Response\n"),
    (house.seeing_the_request, SERVICE, "from flask_babel import gettext\nresources(app).settings\nheld.resources()\n"),
    (house.unexpected_libraries, "manifests/jws.py", "import json\nfrom cryptography import x509\n"),
    (house.untranslatable, SERVICE, "BUSY = say('The card is busy.')\nraise Conflict(BUSY)\n"),
    (house.untranslatable, SERVICE, "raise Conflict(say('The card is %(state)s.', state=state), state=f'{state}')\n"),
    (house.untranslatable, SERVICE, "log.info(f'{uid} seen')\nraise LogBroken(f'The entry {uid} is gone.')\n"),
    (house.untranslatable, "sifilma/cards/cli.py", "raise Invalid(f'There is no file {name}.')\n"),
    (house.unexplained_ignores, SERVICE, "x = y  # type" + ": ignore[arg-type]  # the stub lacks it\n"),
    (house.strange_lookups, SERVICE, "def list_cards(ctx) -> Listing[Card]: ...\ndef find_card(ctx) -> Card | None: ...\n"),
    (house.registry_hosts, "requirements/run.txt", "flask==3.1.3 \\\n    --hash=sha256:00\n"),
    (house.machine_paths, "README.md", "see https://example.org/home/page and tests/home/x\n"),
]


ONE = {"sifilma/a.py": "import sifilma.b\n", "sifilma/b.py": "", "sifilma/c/__init__.py": "from sifilma.c import d\n", "sifilma/c/d.py": ""}
TREE_PLANTED: list[tuple[TreeRule, dict[str, str]]] = [
    (rooms.strange_names, {"sifilma/cards/intake.py": ""}),
    (rooms.strange_names, {"sifilma/activation/tokens/hook.py": ""}),
    (rooms.strange_names, {"sifilma/kernel/letters.py": ""}),
    (rooms.strange_names, {"sifilma/pages.py": ""}),
    (rooms.strange_names, {"sifilma/sanctions/service.py": ""}),  # a package that is neither room nor library
    (rooms.names_of_nothing, {}),
    (rooms.full_folders, {f"sifilma/cards/f{number}.py": "" for number in range(27)}),
    (rooms.full_folders, {f"sifilma/accounts/f{number}.py": "" for number in range(17)}),
    (rooms.circles, ONE | {"sifilma/b.py": "from sifilma.a import x\n"}),
    (rooms.circles, ONE | {"sifilma/b.py": "def f():\n    from sifilma import a\n"}),
    (rooms.circles, ONE | {"sifilma/b.py": "if TYPE_CHECKING:\n    from sifilma.a import x\n"}),
    (rooms.circles, ONE | {"sifilma/b.py": "import sifilma.c\n", "sifilma/c/d.py": "import sifilma.a\n"}),
    (rooms.circles, ONE | {"sifilma/c/d.py": "from sifilma.c import x\n"}),
]
TREE_SOUND: list[tuple[TreeRule, dict[str, str]]] = [
    (rooms.strange_names, {"sifilma/cards/__init__.py": "", "sifilma/cards/card_views.py": "", "hsm/anything.py": ""}),
    (rooms.full_folders, {f"sifilma/cards/f{number}.py": "" for number in range(26)} | {"sifilma/cards/__init__.py": ""}),
    (rooms.full_folders, {f"sifilma/cards/{folder}/f{number}.py": "" for folder in "ab" for number in range(20)}),
    (rooms.circles, ONE | {"sifilma/b.py": "from sifilma.c import d\n", "sifilma/c/d.py": "from sifilma.c import d\n"}),
]
EXEMPT: list[tuple[Rule, Iterable[str]]] = [
    (house.committing, house.MAY_COMMIT),
    (house.asking_the_time, house.MAY_ASK_THE_TIME),
    (house.untranslatable, house.NOT_ON_SCREENS),
    (house.seeing_the_request, house.SEES_THE_REQUEST | house.MAY_KNOW_FLASK.keys()),
]


def _name(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize("rule", PYTHON_RULES, ids=_name)
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    assert [str(fault) for source in house.python_sources() for fault in rule(source)] == []


@pytest.mark.parametrize("rule", TEXT_RULES, ids=_name)
def test_every_text_keeps_the_rule(rule: Rule) -> None:
    assert [str(fault) for source in house.text_sources() for fault in rule(source)] == []


@pytest.mark.parametrize("rule", TREE_RULES, ids=_name)
def test_the_tree_keeps_the_rule(rule: TreeRule) -> None:
    assert [str(fault) for fault in rule(house.python_sources())] == []


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_a_planted_fault_is_caught(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text)))


@pytest.mark.parametrize(("rule", "path", "text"), SOUND)
def test_what_is_allowed_is_left_alone(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text))) == []


@pytest.mark.parametrize(("rule", "files"), TREE_PLANTED)
def test_a_fault_planted_in_the_tree_is_caught(rule: TreeRule, files: dict[str, str]) -> None:
    assert list(rule([Source(path, text) for path, text in files.items()]))


@pytest.mark.parametrize(("rule", "files"), TREE_SOUND)
def test_a_tree_as_it_may_be_is_left_alone(rule: TreeRule, files: dict[str, str]) -> None:
    assert list(rule([Source(path, text) for path, text in files.items()])) == []


@pytest.mark.parametrize("gone", ["sifilma/sign_in/totp.py", "sifilma/kernel/clock.py", "sifilma/activation/rules.py"])
def test_a_line_whose_file_is_gone_is_caught(gone: str) -> None:
    assert len(list(rooms.names_of_nothing(source for source in house.python_sources() if source.path != gone))) == 1


def test_few_files_are_named_by_a_subject_of_their_own() -> None:
    assert len(rooms.NAMES_USED_ONCE) <= rooms.MOST_USED_ONCE
    assert all(rooms.NAMES_USED_ONCE.values())


def test_every_rule_has_a_planted_fault() -> None:
    assert {rule for rule, _, _ in PLANTED} == {*PYTHON_RULES, *TEXT_RULES}
    assert {rule for rule, _ in TREE_PLANTED} == {*TREE_RULES}


@pytest.mark.parametrize(("rule", "path"), [(rule, path) for rule, paths in EXEMPT for path in sorted(paths)])
def test_what_is_exempt_from_a_rule_needs_it(rule: Rule, path: str) -> None:
    assert list(rule(Source(SERVICE, (house.ROOT / path).read_text())))


@pytest.mark.parametrize("path", sorted({*house.CALLED_BY_SCHEMAS, *(path for path in house.COMMANDS if "/" in path)}))
def test_what_a_rule_names_by_its_path_is_there(path: str) -> None:
    assert (house.ROOT / path).is_file()


def test_the_tree_is_really_read() -> None:
    paths = {source.path for source in house.python_sources()}
    assert {"app.py", "config/settings.py", "hsm/module.py", "manifests/verifier.py", "sifilma/kernel/db.py", "tests/conftest.py"} <= paths
    texts = {source.path for source in house.text_sources()}
    assert {"Makefile", "scripts/setup.sh", ".ci/run", "requirements/run.txt", "package-lock.json", ".npmrc"} <= texts
