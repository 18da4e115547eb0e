"""Read one XLSX file in a process of its own: `python -I xlsx_child.py MAX_ROWS MAX_COLUMNS < file` prints its rows as JSON.

The reader allocates a sheet as a full rectangle before its size can be asked for. Two cells far apart, in a file of 5 KB, claim
hundreds of gigabytes, and the failed allocation aborts the process. Here this process is a child with a memory limit.
It exits with 0, or with 3 for a sheet that is too wide. Any other status means that the file cannot be read.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from datetime import date, datetime, time, timedelta

from python_calamine import CalamineWorkbook

MEMORY = 768 * 1024 * 1024  # bytes of address space
CPU_SECONDS = 20
TOO_WIDE = 3


def main(max_rows: int, max_columns: int) -> int:
    """Print the rows of the first sheet as JSON and return the exit status. Dates become ISO 8601 texts, other cells stay as they are."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would keep the uploaded data
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read())).get_sheet_by_index(0)
    if sheet.end is not None and sheet.end[1] >= max_columns:
        return TOO_WIDE
    rows = sheet.to_python(skip_empty_area=False, nrows=max_rows)
    json.dump(rows, sys.stdout, default=_text)
    return 0


def _text(cell: object) -> str:
    return cell.isoformat() if isinstance(cell, datetime | date | time) else str(cell if isinstance(cell, timedelta) else "")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
