"""JSON for programs. Its fields are a public contract: docs/reference/outputs.md.

Start with `run.py`.
"""
