"""WSGI entry."""

from sifilma.factory import create_app

app = create_app()
