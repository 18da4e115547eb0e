"""From token, machine and place to a signed manifest."""
