"""The database: runs, their journal, leases and claims. SQLite on one machine, PostgreSQL for several."""
