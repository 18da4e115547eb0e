"""`python -m sifilma`."""

from sifilma.commands.main import main

main()
