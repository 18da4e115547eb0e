"""Who may what, since when, last used: the overview, the half-yearly confirmation of people, and accounts that nobody uses."""
