"""Agreements (PKS) of institutions, certificates of models, and changes of reference data."""
