"""The lowest layer: database, unit of work, life cycles, triggers, errors, paging. It imports no other package."""
