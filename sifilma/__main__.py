"""`python -m sifilma`."""

from sifilma.cli import main

main()
