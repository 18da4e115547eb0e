"""How many working days cards took from a letter to their first manifest, stage by stage."""
