"""Journal: its events, their form in the database, and the fold of events into a run. No I/O.

Order: codec, fold > events. Start with `events.py`, then `fold.py`.
"""
