"""The settings of an installation (`settings.py`)."""
