"""Command line: parse, ask, print, choose an exit code.

`usage` says what each command takes, `commands` does it, one file per command. A sequence that an operator would call
one thing ("resume this run") lives in `fleetos.app`. Start with `main.py`, then `commands/apply.py`.
"""
