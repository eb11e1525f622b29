"""The program: `fleetos`, and `python -m fleetos`."""

import gc


def main() -> None:
    """Run the command and exit with its exit code."""
    # What is imported stays for good: to look for garbage in it, now or later, would only make the start longer.
    gc.disable()
    from fleetos.cli.main import main as run

    gc.freeze()
    gc.enable()
    run()


if __name__ == "__main__":
    main()
