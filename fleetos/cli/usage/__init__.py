"""Usage of the commands, one file per panel of `fleetos --help`: arguments, options, help.

Imports no work: help and completion start fast. Start with `runs.py`.
"""
