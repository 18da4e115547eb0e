"""What in an object of a PDF makes a viewer run, load or send something, or carries another file (ISO 32000-2, 12.6, 12.7 and 7.11).

A name counts only where it has this meaning: a font may be called AA, and a name tree of scripts may be empty. Harmless are actions
that show a page of the same document, the fields of a form, signatures, and links to the web that open when a person clicks on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from pikepdf import Name, Object, ObjectType, String

ACTIONS = frozenset({
    "JavaScript", "Launch", "SubmitForm", "ImportData", "GoToE", "GoToR", "Rendition", "RichMediaExecute", "Movie", "Sound", "GoTo3DView",
})  # fmt: skip
"""Actions that are refused wherever they stand. Others (Hide, SetOCGState, Thread, Trans, …) change what is seen and need a click."""
TURNS = frozenset({"NextPage", "PrevPage", "FirstPage", "LastPage"})
"""Named actions that turn a page. Viewers take names of menu items too, such as Print."""
EVENTS = frozenset({
    "E", "X", "D", "U", "Fo", "Bl", "PO", "PC", "PV", "PI", "O", "C", "K", "F", "V", "WC", "WS", "DS", "WP", "DP",
})  # fmt: skip
"""Entries of a dictionary of additional actions (AA): what happens by itself, or with a key or a move of the mouse."""
SUBTYPES = frozenset({"RichMedia", "Screen", "Movie", "Sound", "3D", "FileAttachment", "PS"})
"""Annotations that play or carry something, and XObjects in PostScript."""
TYPES = frozenset({"EmbeddedFile", "Rendition"})
LINK = re.compile(r"(?:https?:|mailto:|tel:|(?![a-z][a-z0-9+.-]*:))", re.IGNORECASE)
"""A link to the web, to an address or a telephone, or without a scheme. Others (javascript:, file:, data:) are refused."""
LONGEST_CHAIN = 50  # actions, of which each names the next

_Value = Object | None
_CONTAINERS = (ObjectType.dictionary, ObjectType.array)


class ActionFinder:
    """Finds active content in single objects. What an object refers to is an object of its own, and is asked about by itself.

    `dangling` tells whether an entry of this name refers, anywhere in the file, to an object that is not there. qpdf shows such an entry
    as null; another viewer might find the object.
    """

    def __init__(self, dangling: Callable[[str], bool]) -> None:
        self._dangling = dangling
        self._entries: Mapping[str, Callable[[_Value], bool]] = {
            "/JS": _is_script,
            "/OpenAction": _starts_something,
            "/AA": self._has_events,
            "/JavaScript": lambda value: self._holds("/JavaScript", value),
            "/EmbeddedFiles": lambda value: self._holds("/EmbeddedFiles", value),
            "/EF": lambda value: self._holds("/EF", value),
            "/XFA": lambda value: self._holds("/XFA", value),
            "/OnInstantiate": lambda value: self._holds("/OnInstantiate", value),
            "/Ref": _is_external,
        }

    def find(self, value: Object) -> str | None:
        """Return the name of the first active thing in an object, with what lies directly in it, or None."""
        waiting: list[Object] = [value]
        while waiting:
            one = waiting.pop()
            kind = _kind(one)
            inside: Iterable[_Value] = ()
            if kind == ObjectType.array:
                inside = list(one)
            elif kind in (ObjectType.dictionary, ObjectType.stream):
                entries = _entries_of(one)
                if found := self._in_dictionary(entries, is_stream=kind == ObjectType.stream):
                    return found
                inside = entries.values()
            waiting += [part for part in inside if part is not None and part._type_code in _CONTAINERS and not part.is_indirect]
        return None

    def _in_dictionary(self, entries: Mapping[str, _Value], *, is_stream: bool) -> str | None:
        names = {key: _name(entries.get(key)) for key in ("/S", "/Subtype", "/Type", "/FS")}
        if names["/S"] in ACTIONS or (names["/S"] == "URI" and not _is_link(entries.get("/URI"))):
            return names["/S"]
        for key in entries.keys() & self._entries.keys():
            if self._entries[key](entries[key]):
                return key[1:]
        if names["/Subtype"] in SUBTYPES:
            return names["/Subtype"]
        if names["/Type"] in TYPES:
            return names["/Type"]
        if names["/FS"] == "URL" or (is_stream and entries.get("/F") is not None):
            return "F"  # the content lies elsewhere
        return None

    def _holds(self, key: str, value: _Value) -> bool:
        """Return whether an entry has a content. A name tree with neither names nor branches has none."""
        if value is None:
            return self._dangling(key)
        if _kind(value) == ObjectType.dictionary:
            return any(part is not None and not _is_empty_array(part) for part in _entries_of(value).values())
        return not _is_empty_array(value)

    def _has_events(self, value: _Value) -> bool:
        if _kind(value) != ObjectType.dictionary:  # a font may be called AA, and may be missing
            return False
        events = {key: action for key, action in _entries_of(value).items() if key[1:] in EVENTS}
        return any(self._dangling("/AA") if action is None else _starts_something(action) for action in events.values())


def _kind(value: _Value) -> ObjectType | None:
    return None if value is None else value._type_code


def _entries_of(value: _Value) -> dict[str, _Value]:
    return {} if value is None else dict(value.items())


def _name(value: _Value) -> str:
    return str(value).removeprefix("/") if isinstance(value, Name | String) else ""


def _is_empty_array(value: Object) -> bool:
    return bool(_kind(value) == ObjectType.array and not len(value))


def _is_external(value: _Value) -> bool:
    return _kind(value) == ObjectType.dictionary and _entries_of(value).get("/F") is not None


def _is_link(address: _Value) -> bool:
    """Return whether an address is one of the web, as a browser reads it: without control characters."""
    return not isinstance(address, String) or LINK.match("".join(ch for ch in str(address) if ch > " ")) is not None


def _is_script(value: _Value) -> bool:
    """Return whether the value is a script: a text, or a stream that is no picture (a resource may be called JS)."""
    if _kind(value) == ObjectType.stream:
        return _name(_entries_of(value).get("/Subtype")) not in ("Image", "Form")
    return bool(_kind(value) == ObjectType.string)


def _starts_something(value: _Value) -> bool:
    """Return whether an action that runs by itself does more than show a page. Arrays and names are places to show."""
    waiting: list[_Value] = [value]
    seen = 0
    while waiting:
        action = waiting.pop()
        if _kind(action) not in (ObjectType.dictionary, ObjectType.stream):
            continue
        seen += 1
        entries = _entries_of(action)
        kind, following = _name(entries.get("/S")), entries.get("/Next")
        shows_a_page = kind in ("", "GoTo") or (kind == "Named" and _name(entries.get("/N")) in TURNS)
        if seen > LONGEST_CHAIN or not shows_a_page:
            return True
        waiting += list(following) if following is not None and _kind(following) == ObjectType.array else [following]
    return False
