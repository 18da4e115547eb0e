"""Who heads an organisation: one head follows another by decree, for good or until a day; which organisations have no living head."""
