"""`python -m fleetos`."""

from fleetos.cli.main import main

if __name__ == "__main__":
    main()
