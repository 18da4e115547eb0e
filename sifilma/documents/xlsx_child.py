"""Reads one XLSX file in a process of its own: `python -I xlsx_child.py MAX_ROWS MAX_COLUMNS < file`, rows as JSON on stdout.

The reader lays a sheet out as a full rectangle before anybody can ask how large it is: two cells far apart, in a file of 5 KB,
claim hundreds of gigabytes, and the allocation aborts the whole process. Here that process is this one, with little to claim.
Exit 0, or 3 for a sheet that is too wide; anything else: the file cannot be read.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from datetime import date, datetime, time, timedelta

from python_calamine import CalamineWorkbook

MEMORY = 768 * 1024 * 1024
CPU_SECONDS = 20
TOO_WIDE = 3


def main(max_rows: int, max_columns: int) -> int:
    """Print the first sheet's rows, the first of the file first; cells as they are, dates as ISO 8601."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
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
