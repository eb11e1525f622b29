"""Text for people: the live view, tables, summaries, errors.

Start with `live.py` and `frame.py`.
"""
