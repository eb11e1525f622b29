"""JSON for programs.

Start with `run.py`.
"""
