"""Kode wilayah with their versions, and whether a claimed place fits a claimed code."""
