"""Read one upload in a process of its own, started by `reading`: `main` prints what the reader of its kind returns for standard input.

A reader that returns pieces has them printed one by one: the process waits while nobody takes them, and holds none of them.

The process first imports its reader, which is trusted, then gives up all but a little memory and CPU time, then looks at the file. It
exits with 0, or with REFUSED for a file that its reader does not accept; the reason is then the JSON that it prints. Any other status
means that the file, or what it asks for, was too much.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from importlib import import_module

from sifilma.documents.reader_refusals import REFUSED, TOO_MUCH, NotAccepted

READERS = {
    "csv": "tables.csv_child.read_csv",
    "xlsx": "tables.xlsx_child.read_xlsx",
    "csv-rows": "tables.csv_child.stream_csv",
    "xlsx-rows": "tables.xlsx_child.stream_xlsx",
    "pdf": "pdf_child.read_pdf",
    "photo": "photo_child.read_photo",
}
"""What is read, and the functions that read it: `(data, *arguments)`. Those of rows give pieces."""
MEMORY = 230 * 1024 * 1024
"""Bytes of data: with programs, libraries and the file itself, which are not counted, a child stays below 300 MB."""
FILES = 48 * 1024 * 1024
"""Bytes of a file in memory: a PDF is copied with parts of it under other numbers."""
ADDRESSES = 1024 * 1024 * 1024  # bytes: data and programs together, in case a library maps memory in another way
CPU_SECONDS = 2
CPU_SECONDS_OF_MB = 4
"""What each megabyte of a file of rows may take besides: some four times what a table takes."""


def limit(seconds: int = CPU_SECONDS) -> None:
    """Give up memory, CPU time, large files and core dumps (a dump would keep the uploaded data)."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # the first ends it by SIGXCPU, which the parent understands
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(kind: str, *arguments: str) -> int:
    """Print the answer, or the reason of a refusal as JSON. Return the exit status."""
    module, _, name = READERS[kind].rpartition(".")
    read = getattr(import_module(f"sifilma.documents.{module}"), name)
    limit(CPU_SECONDS + (CPU_SECONDS_OF_MB * os.fstat(0).st_size // 2**20 if kind.endswith("-rows") else 0))
    out = sys.stdout.buffer
    try:
        answer: bytes | Iterator[bytes] = read(sys.stdin.buffer.read(), *arguments)
        for piece in (answer,) if isinstance(answer, bytes) else answer:
            out.write(piece)
    except NotAccepted as refused:
        out.write(json.dumps({"reason": refused.reason, "facts": refused.facts}).encode())
        return REFUSED
    except MemoryError:
        out.write(json.dumps({"reason": TOO_MUCH, "facts": {}}).encode())
        return REFUSED
    return 0
