"""Read one upload in a process of its own, started by `reading`: `main` prints what the reader of its kind returns for standard input.

The process first imports its reader, which is trusted, then gives up all but a little memory and CPU time, then looks at the file. It
exits with 0, or with REFUSED for a file that its reader does not accept; the reason is then the JSON that it prints. Any other status
means that the file, or what it asks for, was too much.
"""

from __future__ import annotations

import json
import resource
import sys
from importlib import import_module

from sifilma.documents.reader_refusals import REFUSED, TOO_MUCH, NotAccepted

READERS = {"csv": "tables.csv_child", "xlsx": "tables.xlsx_child", "pdf": "pdf_child", "photo": "photo_child"}
"""The kinds of files, and the modules whose `read_KIND(data, *arguments)` reads them."""
MEMORY = 230 * 1024 * 1024
"""Bytes of data: with programs, libraries and the file itself, which are not counted, a child stays below 300 MB."""
FILES = 48 * 1024 * 1024
"""Bytes of a file in memory: a PDF is copied with parts of it under other numbers."""
ADDRESSES = 1024 * 1024 * 1024  # bytes: data and programs together, in case a library maps memory in another way
CPU_SECONDS = 2


def limit() -> None:
    """Give up memory, CPU time, large files and core dumps (a dump would keep the uploaded data)."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))  # the first ends it by SIGXCPU, which the parent understands
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(kind: str, *arguments: str) -> int:
    """Print the answer, or the reason of a refusal as JSON. Return the exit status."""
    read = getattr(import_module(f"sifilma.documents.{READERS[kind]}"), f"read_{kind}")
    limit()
    try:
        answer: bytes = read(sys.stdin.buffer.read(), *arguments)
        status = 0
    except NotAccepted as refused:
        answer, status = json.dumps({"reason": refused.reason, "facts": refused.facts}).encode(), REFUSED
    except MemoryError:
        answer, status = json.dumps({"reason": TOO_MUCH, "facts": {}}).encode(), REFUSED
    sys.stdout.buffer.write(answer)
    return status
