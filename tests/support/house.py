"""The rules of the house (docs/architecture.md) that no linter knows, as functions from a source to its faults.

Every rule takes a `Source` and yields `Fault`s; `tests/test_house.py` runs them over the tree, and over planted faults.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".git", ".venv", ".cache", ".hypothesis", "node_modules", "var", "__pycache__", "sifilma.egg-info"}
PYTHON_FOLDERS = ("config", "hsm", "manifests", "migrations", "sifilma", "tests")
TEXT_SUFFIXES = {
    "", ".cfg", ".conf", ".css", ".csv", ".html", ".ini", ".j2", ".js", ".json", ".md", ".py", ".service", ".sh", ".sql", ".toml",
    ".txt", ".typ", ".yaml", ".yml",
}  # fmt: skip

MAX_FUNCTION = 50
MAX_MODULE = 450
MAX_VIEW_DECORATORS = 3


@dataclass(frozen=True)
class Fault:
    """One breach: where, and what."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@dataclass(frozen=True)
class Source:
    """A file of the project: its path below the root, with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed module."""
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.rpartition("/")[2]

    @property
    def package(self) -> str:
        """The package of the feature: `cards` for `sifilma/cards/service.py`."""
        parts = self.path.split("/")
        return parts[1] if len(parts) > 2 else ""

    def fault(self, line: int, what: str) -> Fault:
        """A breach in this file."""
        return Fault(self.path, line, what)


COMMANDS = {"cli.py", "__main__.py", "sifilma/commands/main.py", "sifilma/commands/serve.py", "sifilma/app/command_groups.py",
            "sifilma/app/audit_commands.py", "sifilma/app/clock_commands.py", "sifilma/app/worker_commands.py",
            "sifilma/commands/applications.py", "sifilma/commands/doctor.py", "sifilma/commands/doctor_checks.py",
            "sifilma/commands/witness_check.py", "sifilma/commands/witness.py"}  # fmt: skip
"""What a shell calls: by name in every package, else by path."""
Rule = Callable[[Source], Iterable[Fault]]
Function = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def python_sources(root: Path = ROOT) -> tuple[Source, ...]:
    """Every Python file of the project, tests included; read and parsed once for all rules."""
    paths = [root / "app.py", *(path for folder in PYTHON_FOLDERS for path in sorted((root / folder).rglob("*.py")))]
    return tuple(_source(root, path) for path in paths)


@cache
def text_sources(root: Path = ROOT) -> tuple[Source, ...]:
    """Every text file of the project."""
    return tuple(_source(root, path) for path in sorted(_files(root)) if path.suffix in TEXT_SUFFIXES)


def _files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in NOT_OURS and not entry.name.endswith("_cache"):
            yield from _files(entry)
        elif entry.is_file() and entry.name != ".git":  # a linked working tree's pointer
            yield entry


def _source(root: Path, path: Path) -> Source:
    return Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8", errors="replace"))


def is_command(source: Source) -> bool:
    """Whether a shell calls this file, and its words go to that shell only."""
    return source.name in COMMANDS or source.path in COMMANDS


def is_view(source: Source) -> bool:
    """Whether this file answers requests: a page's view, or a route of the API."""
    is_page = source.path.startswith("sifilma/") and (source.name == "views.py" or source.name.endswith("_views.py"))
    return is_page or source.path.startswith("sifilma/api/")


# --- sizes -----------------------------------------------------------------------------------------------------------


def long_functions(source: Source) -> Iterator[Fault]:
    """No function above 50 lines. A migration is a list of statements, read once."""
    if source.path.startswith("migrations/"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, Function) and _length(node) > MAX_FUNCTION:
            yield source.fault(node.lineno, f"{node.name} has {_length(node)} lines, more than {MAX_FUNCTION}")


def long_modules(source: Source) -> Iterator[Fault]:
    """No module above 450 lines, migrations aside."""
    lines = 0 if source.path.startswith("migrations/") else len(source.text.splitlines())
    if lines > MAX_MODULE:
        yield source.fault(1, f"{lines} lines, more than {MAX_MODULE}")


def many_decorators(source: Source) -> Iterator[Fault]:
    """At most three decorators on a function; a command's options are its signature."""
    if is_command(source):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, Function) and len(node.decorator_list) > MAX_VIEW_DECORATORS:
            yield source.fault(node.lineno, f"{node.name} has {len(node.decorator_list)} decorators")


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


# --- what only some files may do -------------------------------------------------------------------------------------

CLOCK_CALLS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns", "time.localtime"}
MAY_ASK_THE_TIME = {
    "sifilma/kernel/clock.py",
    "sifilma/kernel/ids.py",  # the time within a UUIDv7 orders; nothing is decided by it
    "manifests/cli.py",  # a stranger's program: it has the stranger's clock
}
MAY_COMMIT = {
    "sifilma/kernel/db.py",  # a sign of life is committed
    "sifilma/kernel/statements/driver.py",  # passes on what the unit of work commits
    "sifilma/kernel/unit_of_work.py",
    "sifilma/web/application.py",
    "sifilma/web/command.py",
    "sifilma/schema/migrate.py",
}


def committing(source: Source) -> Iterator[Fault]:
    """The unit of work is committed in its named places, by a request, a command or a migration; never in a service, view or task."""
    if not source.path.startswith("sifilma/") or source.path in MAY_COMMIT:
        return
    for node in _calls(source):
        if isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield source.fault(node.lineno, "commit() outside the edge")


def catching_everything(source: Source) -> Iterator[Fault]:
    """`except Exception` only where it is marked (BLE001) with its reason: at the edge of a process or thread."""
    lines = source.text.splitlines()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and _catches_all(node) and not re.search(r"noqa: BLE001\s+# \S", lines[node.lineno - 1]):
            yield source.fault(node.lineno, "catches every exception")


def asking_the_time(source: Source) -> Iterator[Fault]:
    """The time comes from the injected clock."""
    if source.path in MAY_ASK_THE_TIME or source.path.startswith("tests/"):
        return
    for node in _calls(source):
        name = ".".join(_dotted(node.func)[-2:])
        if name in CLOCK_CALLS:
            yield source.fault(node.lineno, f"{name}() instead of the clock")


def printing(source: Source) -> Iterator[Fault]:
    """Only commands print."""
    if is_command(source) or source.path.startswith("tests/") or _is_demo(source):
        return
    for node in _calls(source):
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            yield source.fault(node.lineno, "print()")


def _is_demo(source: Source) -> bool:
    return source.path.startswith("sifilma/demo/")


def _catches_all(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException")) for kind in kinds)


def _calls(source: Source) -> Iterator[ast.Call]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def _dotted(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [*_dotted(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else []


# --- sentences -------------------------------------------------------------------------------------------------------

REFUSALS = {
    "Invalid", "Invalid.field", "Conflict", "Forbidden", "NotFound", "StepUpRequired", "TooLarge", "TooMany", "TooOften", "Unavailable",
    "Unauthenticated", "RowError", "wrong",
}  # fmt: skip
CALLED_BY_SCHEMAS = {"sifilma/cards/identifiers.py"}
NOT_ON_SCREENS = {
    "sifilma/witness/http.py",  # what the log of a server says of its witness
    "sifilma/witness/mail.py",
    "sifilma/regions/layers.py",  # what only commands say
    "sifilma/activation/trust/key_checks.py",  # as `sifilma doctor` says it
    "sifilma/schema/migrate.py",
    "sifilma/fsck/run.py",
    "sifilma/sign_in/sent_codes.py",  # a message by SMS or e-mail, in the language it is sent in
}


def untranslatable(source: Source) -> Iterator[Fault]:
    """What somebody is told is a whole sentence in the catalogue: values come by `say`, never by an f-string."""
    if not source.path.startswith("sifilma/") or is_command(source) or source.path in NOT_ON_SCREENS or _is_demo(source):
        return
    raised = {part for node in ast.walk(source.tree) if isinstance(node, ast.Raise) for part in ast.walk(node)}
    bare = {name.id for node in source.tree.body if isinstance(node, ast.Assign) and _is_text(node.value) for name in _names(node)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.JoinedStr) and node not in raised and _is_sentence(node):
            yield source.fault(node.lineno, "a sentence with values: say(…)")
        elif isinstance(node, ast.Call) and _refuses(node, source) and any(_is_built(told, bare) for told in _told(node)):
            yield source.fault(node.lineno, "a refusal nobody can translate: say(…)")
        elif isinstance(node, ast.Dict) and any(_is_built(told, bare) or _is_text(told) for told in _messages(node)):
            yield source.fault(node.lineno, "a message nobody can translate: say(…)")


def _refuses(call: ast.Call, source: Source) -> bool:
    name = ".".join(_dotted(call.func)[-2:])
    in_schema = source.name == "schemas.py" or source.path in CALLED_BY_SCHEMAS or source.path.startswith("sifilma/api/")
    return name in REFUSALS or name.rpartition(".")[2] in REFUSALS or (name == "ValueError" and in_schema)


def _told(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg in ("detail", "message"))]


def _messages(display: ast.Dict) -> list[ast.expr]:
    pairs = zip(display.keys, display.values, strict=True)
    return [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "message"]


def _names(node: ast.Assign) -> list[ast.Name]:
    return [target for target in node.targets if isinstance(target, ast.Name)]


def _is_built(node: ast.expr, bare: set[str]) -> bool:
    """Whether a text is put together here (an f-string, `"…" + x`, `"…" % x`, `"…".format(x)`) or is a bare constant's name."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right) or _is_built(node.left, bare)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "format" and _is_text(node.func.value)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Name) and node.id in bare)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_sentence(node: ast.JoinedStr) -> bool:
    """Several words and a full stop at the end."""
    literal = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return re.search(r"\w \w", literal) is not None and re.search(r"[\w)'\"]\.$", literal) is not None


# --- imports ---------------------------------------------------------------------------------------------------------

MAY_IMPORT = {
    "manifests": {"manifests", "cryptography", "pydantic", "rfc8785"},
    "hsm": {"hsm", "cryptography", "pkcs11"},
}


def foreign_models(source: Source) -> Iterator[Fault]:
    """A view or a route of the API imports no model of another package: it asks that package's service."""
    if not is_view(source):
        return
    for line, module in imports(source):
        found = re.match(r"sifilma\.(\w+)(?:\.\w+)*?\.models\b", module)
        if found and found[1] != source.package:
            yield source.fault(line, f"a view imports {module}")


REQUEST = {"", "globals", "request", "g", "session", "current_app"}
"""What of Flask leads to the request; the empty name is `import flask`, which leads to all of it."""
SEES_THE_REQUEST = {
    "sifilma/resources.py",  # whose resources: those of the current application
    "sifilma/sign_in/request_gate.py",
    "sifilma/sign_in/current_user.py",
    "sifilma/sign_in/denials.py",
}
MAY_KNOW_FLASK = {
    "sifilma/documents/lists.py": "makes an answer of a table",
    "sifilma/documents/responses.py": "makes an answer of a file",
    "sifilma/sign_in/cookies.py": "sets a cookie in an answer",
    "sifilma/public/status.py": "runs its looks in the application it is given",
    "sifilma/activation/requests/batch_approval.py": "the address of a letter",
    "sifilma/personalisation/batch_approval.py": "the address of a letter",
}
"""What makes a part of an answer without having seen the request."""


def seeing_the_request(source: Source) -> Iterator[Fault]:
    """Only what answers a request or a command knows Flask; everything else is given what it needs, resources included."""
    if not source.path.startswith("sifilma/") or _answers(source):
        return
    for line, module in imports(source):
        top, _, name = module.partition(".")
        makes_answers = source.path in MAY_KNOW_FLASK and name.rpartition(".")[2] not in REQUEST
        if top == "flask_login" or (top == "flask" and not makes_answers):
            yield source.fault(line, f"imports {module}")
    for node in _calls(source):
        if _dotted(node.func)[-2:] in (["resources"], ["resources", "resources"]) and not node.args and not node.keywords:
            yield source.fault(node.lineno, "resources() of the current application")


def _answers(source: Source) -> bool:
    is_edge = source.path.startswith(("sifilma/app/", "sifilma/web/")) or source.path in SEES_THE_REQUEST
    return is_view(source) or source.name == "forms.py" or is_command(source) or is_edge


def unexpected_libraries(source: Source) -> Iterator[Fault]:
    """`manifests` and `hsm` stand on few libraries, so that a stranger can run them."""
    allowed = MAY_IMPORT.get(source.path.partition("/")[0])
    for line, module in imports(source) if allowed else ():
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in (allowed or ()):
            yield source.fault(line, f"imports {top}")


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported; `from a import b` counts as `a.b`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


# --- honesty ---------------------------------------------------------------------------------------------------------

SKIPS = {"pytest.skip", "pytest.xfail", "pytest.importorskip", "mark.skip", "mark.skipif", "mark.xfail", "unittest.skip"}


def skipping(source: Source) -> Iterator[Fault]:
    """No test is skipped or expected to fail."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and (name := ".".join(_dotted(node)[-2:])) in SKIPS:
            yield source.fault(node.lineno, name)


_IGNORE = r"type:\s*ignore"


def unexplained_ignores(source: Source) -> Iterator[Fault]:
    """An ignored type error is named, and the line says why: `…[code]  # reason`."""
    for number, line in enumerate(source.text.splitlines(), start=1):
        if re.search(rf"#\s*{_IGNORE}", line) and not re.search(rf"# {_IGNORE}\[[\w, -]+\]\s+# \S", line):
            yield source.fault(number, "type: ignore without a code and a reason")


# --- texts -----------------------------------------------------------------------------------------------------------

LOCKS = {"package-lock.json", ".npmrc"}
MACHINE_PATH = re.compile(r"(?<![\w./$}*-])/(?:work|root|home|Users)/\w")
INDEX = re.compile(
    r"^\s*(?:-i|-f|--(?:extra-)?index-url|--find-links)\b|^\s*registry\s*=|\"resolved\":|://[^/\"\s]*(?:registry|pypi|npmjs|pythonhosted)"
)


def registry_hosts(source: Source) -> Iterator[Fault]:
    """Lock files name no registry: every machine has its own."""
    in_requirements = source.path.startswith("requirements/")
    if not in_requirements and source.name not in LOCKS:
        return
    for number, line in enumerate(source.text.splitlines(), start=1):
        if INDEX.search(line) or (in_requirements and "://" in line):
            yield source.fault(number, "names a registry")


def machine_paths(source: Source) -> Iterator[Fault]:
    """No path of one machine."""
    for number, line in enumerate(source.text.splitlines(), start=1):
        if MACHINE_PATH.search(line):
            yield source.fault(number, f"a path of one machine: {MACHINE_PATH.findall(line)[0]}…")


# --- names of look-ups -----------------------------------------------------------------------------------------------

LOOKUPS = {"Listing": "list_", "Select": "_query"}


def strange_lookups(source: Source) -> Iterator[Fault]:
    """Name a look-up by what it returns: `list_xs` a Listing, `x_query` a Select, `find_x` an object or None, `get_x` an object."""
    if not source.path.startswith("sifilma/") or source.package in ("kernel", "documents") or source.name.endswith("views.py"):
        return
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef) and node.returns is not None and not node.name.startswith("_"):
            kind, optional = ast.unparse(node.returns).partition("[")[0], "None" in ast.unparse(node.returns).split(" | ")
            affix = LOOKUPS.get(kind)
            if affix is not None and not (node.name.startswith(affix) or node.name.endswith(affix)):
                yield source.fault(node.lineno, f"{node.name} returns a {kind}: {affix} belongs to its name")
            elif node.name.startswith("get_") and optional:
                yield source.fault(node.lineno, f"{node.name} may return None: find_")
            elif node.name.startswith("find_") and not optional:
                yield source.fault(node.lineno, f"{node.name} never returns None: get_, or a name that says what it gives")


PYTHON_RULES: tuple[Rule, ...] = (
    long_functions,
    long_modules,
    many_decorators,
    committing,
    catching_everything,
    asking_the_time,
    printing,
    foreign_models,
    seeing_the_request,
    unexpected_libraries,
    untranslatable,
    skipping,
    unexplained_ignores,
    strange_lookups,
)
TEXT_RULES: tuple[Rule, ...] = (registry_hosts, machine_paths)
