"""Entry point: `fleetos` and `python -m fleetos`."""

import gc


def main() -> None:
    """Run the command and exit with its exit code."""
    # What is imported stays for good: to look for garbage in it would only make the start longer. fleetos.cli.lazy
    # turns the collection on again when a command has been imported.
    gc.disable()
    from fleetos.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
