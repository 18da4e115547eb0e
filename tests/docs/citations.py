"""What documents and docstrings refer to, and whether it is there: links, headings, files, symbols, rules of the domain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support import house
from tests.support.house import Fault, Source

ROOT = house.ROOT
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
PATH = re.compile(r"[\w.…-]+(?:/[\w.…-]+)*/?")
SUFFIXES = {".py", ".md", ".html", ".js", ".mjs", ".typ", ".po", ".toml", ".sh", ".json", ".go", ".css"}
SNAKE = re.compile(r"_?[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
CAMEL = re.compile(r"[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)+")
CITED_DOCUMENT = re.compile(r"\b(docs/[\w/-]+\.md)(?:, rule (\d+))?")
FORMER = re.compile(r"\b(?:DOMAIN|MANIFEST|ARCHITECTURE|QUALITY|INTERFACE)\b(?:\.md|(?=[,:)']))")
MADE_AT_RUN_TIME = {"var/", "home/", ".venv/", "node_modules/", ".cache/"}
PATTERNS = {"get_x", "find_x", "list_xs", "x_query"}
"""Names that stand for a family of names."""
OF_OTHERS = {"HttpOnly", "SameSite", "pg_dump", "pg_basebackup"}
"""Names of other programs and standards."""
MADE_OF_NAMES = re.compile(r"_(?:bucket|count|created|sum|total)$|^sifilma_(?=.*_(?:key|pin|token|password)$)")
"""What Prometheus adds to the name of a metric, and pydantic-settings to that of a secret's file."""


def documents() -> list[Source]:
    """Every Markdown file of the project."""
    return [source for source in house.text_sources() if source.path.endswith(".md")]


# --- links -----------------------------------------------------------------------------------------------------------


def broken_links(source: Source) -> Iterator[Fault]:
    """Relative links whose file, or whose heading in a Markdown file, is not there."""
    folder = (ROOT / source.path).parent
    for number, line in enumerate(_without_fences(source.text).splitlines(), start=1):
        for found in LINK.finditer(line):
            target = found[1] or found[2]
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = folder / name
            if name and not file.exists():
                yield source.fault(number, f"links to {target}, which is not there")
            elif anchor and anchor not in anchors(file.read_text(encoding="utf-8") if name else source.text):
                yield source.fault(number, f"links to {target}: no such heading")


def anchors(text: str) -> set[str]:
    """The anchors of a Markdown text's headings, as they are made from their words."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", _without_fences(text), re.M):
        plain = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", lambda m: m[1] or "", heading) if "[" in heading else re.sub(r"[`*]", "", heading)
        found.add(re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-"))
    return found


def _without_fences(text: str) -> str:
    """The text with fenced blocks emptied; the number of lines stays."""
    return FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)


# --- files and symbols -----------------------------------------------------------------------------------------------


def missing_in_documents(source: Source) -> Iterator[Fault]:
    """Files and symbols in back quotes that the tree does not have."""
    for number, line in enumerate(_without_fences(source.text).splitlines(), start=1):
        for what in CODE.findall(line):
            if complaint := objection(what):
                yield source.fault(number, complaint)


def missing_in_docstrings(source: Source) -> Iterator[Fault]:
    """The same in the docstrings of a Python file, and documents and rules that are cited without back quotes."""
    for line, text in docstrings(source):
        for what in CODE.findall(text):
            if complaint := objection(what):
                yield source.fault(line, complaint)
        for path, rule in CITED_DOCUMENT.findall(text):
            if not (ROOT / path).exists():
                yield source.fault(line, f"cites {path}, which is not there")
            elif rule and int(rule) not in rules(path):
                yield source.fault(line, f"cites rule {rule} of {path}, which has none")
        if found := FORMER.search(text):
            yield source.fault(line, f"cites {found[0]}: name the file in docs/")


def docstrings(source: Source) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring; a string after an assignment is the docstring of the name."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def rules(path: str) -> set[int]:
    """The numbers of a document's numbered rules."""
    return {int(number) for number in re.findall(r"^(\d+)\. ", (ROOT / path).read_text(encoding="utf-8"), re.M)}


def objection(what: str) -> str:
    """Why a piece in back quotes names nothing of the tree; empty if it does, or if it is no name of a file or symbol."""
    path, _, symbol = what.partition(":")
    if _looks_like_a_path(path) and " " not in what:
        if not _files_at(path):
            return f"names the file {path}, which is not there"
        if symbol and not symbol.isdigit() and re.fullmatch(r"\w+", symbol) and not _holds(path, symbol):
            return f"names {symbol} in {path}, which has no such name"
        return ""
    name = what.removesuffix("()").removesuffix("(…)").rpartition(".")[2]
    if (SNAKE.fullmatch(name) or CAMEL.fullmatch(name)) and not _spellings(name) & (words() | PATTERNS | OF_OTHERS):
        return f"names {name}, which occurs nowhere in the code"
    return ""


def _spellings(name: str) -> set[str]:
    stem = MADE_OF_NAMES.sub("", name)
    return {name, stem, f"{stem}_total"}


def _looks_like_a_path(text: str) -> bool:
    if (
        "…" in text
        or re.search("NNNN|NAME", text)
        or "*" in text
        or not PATH.fullmatch(text)
        or any(text.startswith(made) for made in MADE_AT_RUN_TIME)
    ):
        return False
    return Path(text).suffix in SUFFIXES and not text.startswith((".", "/")) and not text[0].isupper()


def _files_at(path: str) -> list[str]:
    """The files a cited path may mean: from the root, or the end of a path."""
    return [known for known in paths() if known == path or known.endswith(f"/{path}")]


def _holds(path: str, symbol: str) -> bool:
    return any(re.search(rf"\b{re.escape(symbol)}\b", (ROOT / known).read_text(encoding="utf-8")) for known in _files_at(path))


@cache
def paths() -> frozenset[str]:
    """Every file of the project."""
    return frozenset(path.relative_to(ROOT).as_posix() for path in house._files(ROOT))


@cache
def words() -> frozenset[str]:
    """Every word of the code: of Python without its docstrings, and of all other files but Markdown."""
    found: set[str] = set()
    for source in house.python_sources():
        if source.path.startswith("tests/docs/"):  # names planted faults
            continue
        said = {id(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(source.tree):
            found.update(_names(node, said))
    for source in house.text_sources():
        if not source.path.endswith((".md", ".py", ".po")):
            found.update(re.findall(r"\w+", source.text))
    return frozenset(found)


def _names(node: ast.AST, docstrings_: set[int]) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and id(node) not in docstrings_:
            yield from re.findall(r"\w+", node.value)
        return
    for field in ("id", "attr", "name", "arg", "module"):
        value = getattr(node, field, None)
        if isinstance(value, str):
            yield from value.split(".")
