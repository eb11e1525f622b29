"""Text for people: the live view, tables, summaries, errors. The only part that knows a terminal.

Start with `live.py` and `frame.py`.
"""
