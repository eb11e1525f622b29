"""Read a plan file: its keys, its values, its problems.

This package asks no cloud. Start with `schema.py` (all keys), then `load.py`.
"""
