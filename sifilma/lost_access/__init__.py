"""A visitor who cannot sign in asks for help. Nothing of an account changes: those who may report it find it on their home page."""
