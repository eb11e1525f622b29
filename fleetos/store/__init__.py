"""Database: runs, journal, leases, claims.

SQL is spoken here and nowhere else. Start with `journal.py` (how a record becomes durable), then `leases.py` (who may
write), then `runs.py`.
"""
