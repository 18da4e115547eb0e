"""Messages to people: what is sent, and the pages that show it."""
