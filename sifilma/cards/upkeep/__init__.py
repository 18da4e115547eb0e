"""What becomes of a unit after its registration: its condition, and corrections of what was registered."""
