"""Region codes (kode wilayah) with their versions, and the check whether a stated place fits a stated code."""
