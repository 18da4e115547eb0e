"""The rules of the house about the tree as a whole: what files are called, how many a folder has, and that none import in a circle.

A file below `sifilma/` is named in one of three ways:

- In a room (`ROOMS`: the packages of a card's life and of the people in it) by its role, with the word that every room uses for that
  role (`ROLES`; `…_views` and the like for a second file of one role).
- In a room, where its subject is no role that another room has, by that subject: the path stands in `NAMES_USED_ONCE` with a line
  that says what the name means. A name that a second room needs for the same thing becomes a role.
- In a library (`LIBRARIES`: what the rooms are built on, and what looks at all of them) by the one thing that it provides. The names
  of a library are listed together, with a line that says what they name.

The files of a room that are named by their subject are the figure that is kept low: `MOST_USED_ONCE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from tests.support.house import Fault, Source, imports

TreeRule = Callable[[Iterable[Source]], Iterable[Fault]]
MAX_FILES = 26
MAX_FILES_OF = {"sifilma/accounts": 16, "sifilma/api": 27, "sifilma/fsck": 27}
MOST_USED_ONCE = 75

ROOMS = frozenset({
    "access_review", "accounts", "activation", "approvals", "assignment", "audit_trail", "cards", "conversation", "destruction", "handover",
    "identity", "kept_forms", "jobs", "own_files", "lost_access", "messages", "oversight", "personalisation", "reports", "search",
    "sign_in", "succession",
})  # fmt: skip
ROLES = {
    "models": "tables, their states and life cycles",
    "service": "what is done: the acts, each with its checks and its entry in the record",
    "proposals": "what one person proposes and another executes",
    "rules": "what the database refuses, and what an act requires",
    "schemas": "what is sent to the API and to forms, checked by pydantic",
    "queries": "what is read: selects, listings, get and find",
    "serializers": "what the API and other rooms are shown",
    "pages": "what pages are shown",
    "views": "the pages' routes",
    "forms": "forms that are more than a schema",
    "labels": "what things are called on screens",
    "form_choices": "what a form offers to choose from",
    "import_table": "the columns of a file that brings rows in",
    "berita_acara": "the Berita Acara as a PDF",
    "batch_approval": "several requests approved one after the other",
    "unit_place": "where a unit stands",
    "tasks": "what time alone brings about",
    "cli": "commands",
    "job": "a kind of work by file: what the worker does with its rows",
}
SECOND_FILES = ("_views", "_serializers", "_labels")
NAMES_USED_ONCE = {
    "accounts/api_keys": "the keys of an organisation's programs",
    "accounts/consents": "a known person asked whether a further account is theirs",
    "accounts/enrolments": "an invitation looked at and taken up, each view with its own seed",
    "accounts/lost_factors": "a lost second factor, reported by one person and decided by another",
    "activation/archives/packing": "the kind of file that holds many manifests",
    "reports/way/line_queries": "the lines of tasks, which have the same columns",
    "cards/part_queries": "a part of a number, looked for once in units and cards",
    "activation/grid": "the grid in which readers on a map are found and tallied",
    "activation/bulk/job_sheets": "the sheets that go out of and come back to that job",
    "activation/issuing/place_form": "the place of an activation while its form is filled in",
    "activation/issuing/statements": "the SQL statements of an activation, compiled once",
    "activation/manifests/download": "a manifest that leaves as JWS or JWE",
    "activation/manifests/revocation": "a manifest that is taken back",
    "activation/issuing/tries": "one activation of a card at a time",
    "activation/tokens/sealing": "AES-GCM under data keys, for tokens and manifest bodies",
    "activation/trust/ceremonies": "the key ceremonies in the record, which tie a database to a root",
    "activation/trust/keyset": "the keyset signed by the root, and its certificates",
    "activation/trust/key_checks": "the record of keys, signed by the root",
    "activation/trust/told": "what the witness is told at once: who signs statements, lists before they are served",
    "activation/trust/published": "the published trust state in the database, and its copy on a node",
    "activation/trust/status_list": "signed status lists",
    "approvals/file_access": "a file handed out, and the record of that",
    "approvals/four_eyes": "the rule who may approve or execute: predicate, SQL and trigger",
    "approvals/letters": "the letter (surat dinas) behind a request",
    "cards/condition_reports": "cards reported as damaged, locked, lost or found",
    "cards/program_reports": "cards reported by programs: suspended until a person decides",
    "cards/public_keys": "a unit's public key: which is taken, and kept how",
    "cards/identifiers": "UID, hardware number, PCID and KCV: accepted and kept how",
    "cards/pcid": "the PCID of a unit, supplied after its registration",
    "handover/bast": "the BAST as a PDF",
    "handover/print_runs": "the kind of file that has BASTs to be printed",
    "handover/returns": "cards that go back to their maker or the directorate",
    "identity/fields": "id number, name, phone, address: one type each for every door",
    "identity/permissions": "the permission table",
    "identity/scope": "which rows of a list an actor sees",
    "jobs/file_rows": "jobs whose rows are done in the order of their file, a part at a time",
    "jobs/failed_rows": "the failed rows of a job as a sheet",
    "jobs/worker": "the worker that takes jobs and settles their rows",
    "own_files/kinds": "what is to be known of each kind of file, and what it is given for a turn",
    "own_files/lists": "the kind of files that have the rows of a list",
    "own_files/writer": "the worker that writes files part by part",
    "own_files/zips": "a ZIP that is written over several transactions",
    "oversight/cases": "applications for tests and certificates of models",
    "oversight/reference": "changes of reference data by two persons",
    "oversight/region_imports": "region codes and boundaries brought in, with their entries",
    "personalisation/batch": "the manufacturer's batch file",
    "personalisation/buyers": "for whom a manufacturer asks",
    "personalisation/refused_batches": "a refused batch, kept with its errors",
    "personalisation/results": "what the personalisation machines report",
    "reports/card_page": "a card with everything that stands on it",
    "reports/decision_notices": "what people are told of a decision, a report or a message, written with it",
    "reports/home": "the home page",
    "reports/message_texts": "the words of reminders and notices",
    "reports/organisations": "an organisation with what it holds",
    "reports/reader_locations": "where readers stand, for the map",
    "reports/reminders": "one reminder a day",
    "reports/reminders_due": "what a reminder is due for",
    "reports/tasks_waiting": "what waits for somebody",
    "sign_in/authentication": "from a cookie or an API key to an actor",
    "sign_in/authority": "whether a row gives authority: its seal",
    "sign_in/contacts": "where somebody is written to",
    "sign_in/cookies": "the session's cookie",
    "sign_in/current_user": "Flask-Login's current user",
    "sign_in/denials": "refusals recorded, and counted where they repeat",
    "sign_in/passkeys": "WebAuthn",
    "sign_in/passwords": "argon2id and what a password must be",
    "sign_in/recovery_codes": "codes for the day the phone is gone",
    "sign_in/resealing": "seals made anew: at the upgrade, with another key, for what a person looked at",
    "sign_in/request_gate": "who asks, and may they: before every view",
    "sign_in/sent_codes": "codes by SMS or e-mail",
    "sign_in/throttle": "guessing slowed down",
    "sign_in/totp": "codes by authenticator app",
}
LIBRARIES = {
    # what stands above or below every package
    "": "__main__ resources",
    # the resource of the API, and what all of them share
    "api": (
        "access_reviews activation_requests activations assignments audit blank_deliveries cards common conversations decisions "
        "destructions documentation files handovers head_successions jobs manifests model_cases notices outlets personalisation "
        "place_suspensions reference reference_changes sessions units users"
    ),
    # the form of a backup, what it takes from a database, and what is done with it
    "backup": "archive cli databases service",
    # what the application is put together of
    "app": "asgi audit_commands blueprints chores clock_commands command_groups factory hooks leavers retention worker_commands",
    # a part of the record or of its transparency log
    "audit": (
        "checkpoints comparison cosignature displacement export findings leaf models note offline proofs recorded rounds sequencing "
        "service store tree verification witnessed"
    ),
    # a command that makes the application itself
    "commands": "applications doctor doctor_checks doctor_lines main practice serve supervisor witness witness_check",
    # what people do with keys
    "custody": "ceremonies ceremony_file cli closing custodians pairing rotation",
    # a part of the play: who, with what, in which scenes
    "demo": (
        "accounts checks facts people play sample_files scenes second_act/bell second_act/broken_card second_act/broken_reader "
        "second_act/misplaced_reader second_act/order_closes second_act/short_bast second_act/transferred_head stage"
    ),
    # a kind of document, or what is done with it
    "documents": (
        "file_cache file_import file_views forms indonesian issued_papers known_people label_sheets letterhead list_views lists models "
        "numbering papers/layout papers/long_papers pdf_actions pdf_child photo_child "
        "print_file reader_child reader_refusals reading rendering responses service store uploads tables/answer tables/cells "
        "tables/columns tables/csv_child tables/headings tables/lookups tables/rows tables/sheets tables/templates "
        "tables/workbook tables/writing tables/xlsx_child"
    ),
    # the contract between work and who does it when, its two dispatchers, what every turn has in common, and what operators see of them
    "dispatch": "cli contract engine in_process models outages pages queries queue runner service turns views",
    # the theme of invariants, and what runs them
    "fsck": (
        "accounts approvals batches cards catalogue cli destructions dialects documents histories holders idempotency jobs log "
        "manifests models organisations regions registry run schema_head sealed secrets snapshot status_lists tokens witness"
    ),
    # the one thing that every package may use
    "kernel": (
        "actor addresses clock context days db deadline errors field_notes file_store idempotency ids installation lifecycle logging "
        "outages paging rates repeats schemas sealing seals text triggers unit_of_work ways "
        "many/copying many/parallel many/sets statements/built_once statements/driver statements/finders statements/prepared "
        "timekeeping/moments timekeeping/stops timekeeping/targets timekeeping/watch timekeeping/working_days"
    ),
    # the outbox, and each way out of it
    "notifications": "bell console contract delivery models outbox senders smpp smtp webhook",
    # a page for everybody, and its words
    "public": "central_guides flows guide guides outside_guides questions status views",
    # what is told to the witness, and what a restored database does with it
    "reconciliation": "authority beyond cli issued models pages questions service telling views",
    # region codes, and the geometry that a place is checked with
    "regions": (
        "__main__ base_map boundaries codes contract coordinates gazetteer geometry layers loading map_links models outlines place "
        "prepared service sources views villages"
    ),
    # the database as a whole
    "schema": "migrate tables",
    # the contract of a witness, what it is told, and each kind of one
    "witness": ("contract cosigning folder http log_witness mail models opening reserved row standing statements views wire"),
    # a part of every request or page
    "web": (
        "application assets body_limits characters command confirmation errors field_names forms headers health kept kept_views languages "
        "links metrics navigation operations pages replays requests states streams texts time_health"
    ),
}


# --- names -----------------------------------------------------------------------------------------------------------


def strange_names(sources: Iterable[Source]) -> Iterator[Fault]:
    """Every file below `sifilma/` has a name of the vocabulary, or a line of its own."""
    for source in _ours(sources):
        package, name = source.package, _stem(source)
        is_word = package in ROOMS and (name in ROLES or name.endswith(SECOND_FILES) or _key(source) in NAMES_USED_ONCE)
        if not is_word and _key(source).removeprefix(f"{package}/") not in _library(package):
            yield source.fault(1, f"{name} is no word of the house's: use one (ROLES), or say in tests/support/rooms.py what it names")


def names_of_nothing(sources: Iterable[Source]) -> Iterator[Fault]:
    """No line of the tables outlives its file, and none says what the vocabulary says."""
    ours = list(_ours(sources))
    there = {_key(source) for source in ours}
    for key in sorted(NAMES_USED_ONCE):
        name = key.rpartition("/")[2]
        if key not in there or name in ROLES or name.endswith(SECOND_FILES):
            yield Fault(f"sifilma/{key}.py", 1, "this line of NAMES_USED_ONCE names no file, or one that needs no line")
    libraries = {f"{package}/{name}".lstrip("/") for package in LIBRARIES for name in _library(package)}
    yield from (Fault(f"sifilma/{key}.py", 1, "LIBRARIES names a file that is gone") for key in sorted(libraries - there))
    used = {_stem(source) for source in ours}
    yield from (Fault(f"sifilma/*/{role}.py", 1, "no file has this role") for role in sorted(ROLES.keys() - used))


def _ours(sources: Iterable[Source]) -> Iterator[Source]:
    return (source for source in sources if source.path.startswith("sifilma/") and source.name != "__init__.py")


def _library(package: str) -> list[str]:
    return LIBRARIES.get(package, "").split()


def _stem(source: Source) -> str:
    return source.name.removesuffix(".py")


def _key(source: Source) -> str:
    return source.path.removeprefix("sifilma/").removesuffix(".py")


# --- folders ---------------------------------------------------------------------------------------------------------


def full_folders(sources: Iterable[Source]) -> Iterator[Fault]:
    """A folder has as many files as an eye takes in, `__init__.py` aside: more are two subjects."""
    files = Counter(source.path.rpartition("/")[0] for source in sources if source.name != "__init__.py")
    for folder, count in sorted(files.items()):
        most = MAX_FILES_OF.get(folder, MAX_FILES)
        if count > most:
            yield Fault(folder, 1, f"{count} files, more than {most}")


# --- circles ---------------------------------------------------------------------------------------------------------


def circles(sources: Iterable[Source]) -> Iterator[Fault]:
    """No files import each other in a circle, wherever in a file the import stands, for types too; one fault a circle."""
    files = {_module(source): source for source in sources}
    graph = {name: _imported(source, files) - {name} for name, source in files.items()}
    reached = {name: _reached(graph, name) for name in graph}
    told: set[str] = set()
    for name in sorted(graph):
        circle = sorted(other for other in reached[name] if name in reached[other])
        if len(circle) > 1 and name not in told:
            yield files[name].fault(1, f"a circle of imports: {', '.join(circle)}")
        told.update(circle)


def _module(source: Source) -> str:
    return source.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(source: Source, files: Collection[str]) -> set[str]:
    """The files that a file imports: `from a import b` names the module a.b where there is one, else a name in a."""
    named = ((module, module.rpartition(".")[0]) for _, module in imports(source))
    return {found for names in named if (found := next((name for name in names if name in files), None))}


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Every file that a file leads to by its imports; itself, if it lies on a circle."""
    found: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


TREE_RULES: tuple[TreeRule, ...] = (strange_names, names_of_nothing, full_folders, circles)
