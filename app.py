"""The WSGI entry: the server imports `app` from here."""

import gc

from sifilma.commands.applications import working

app = working()

# Objects made at import live as long as the process. Frozen, they are not scanned again by every garbage collection.
gc.collect()
gc.freeze()
