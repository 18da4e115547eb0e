"""`python -m sifilma`, and the command `sifilma`."""

import gc


def run() -> None:
    """Import all commands, and run the one that is named."""
    gc.disable()  # what modules make stays: to look through it again and again took 0.4 s of each start
    from sifilma.commands.main import main  # noqa: PLC0415  # after the line above

    gc.freeze()
    gc.enable()
    main()


if __name__ == "__main__":
    run()
