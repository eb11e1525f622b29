"""SQLite and PostgreSQL: connections, dialects, files, tables and migrations.

Knows nothing of runs. Start with `database.py`.
"""
