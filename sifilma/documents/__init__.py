"""Uploaded letters and photos, tables from files, lists on pages, and the PDFs this system writes."""
