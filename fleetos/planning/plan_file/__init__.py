"""Read a plan file: its keys, its values, its problems.

Asks no cloud. Start with `schema.py` (all keys), then `load.py`.
"""
