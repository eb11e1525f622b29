"""Work of the commands. One file per command, named after it; `fleetos.cli.usage` has what each takes, and its help.

Start with `apply.py`.
"""
