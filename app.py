"""The WSGI entry: the server imports `app` from here."""

import gc

from sifilma.app.factory import create_app

app = create_app()

# Objects made at import live as long as the process. Frozen, they are not scanned again by every garbage collection.
gc.collect()
gc.freeze()
