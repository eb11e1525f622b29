"""Events of the journal, their form in the database, and the fold that makes a run of them.

Start with `events.py`, then `fold.py`.
"""
