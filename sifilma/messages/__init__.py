"""Messages to people: how each fared, sending again, and the pages for it."""
