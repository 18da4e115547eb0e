"""WSGI entry."""

import gc

from sifilma.app.factory import create_app

app = create_app()

# What there is now stays as long as the process: the collector need not walk through it again and again.
gc.collect()
gc.freeze()
