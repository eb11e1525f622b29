"""True state of the simulated servers, disks and jobs, advanced lazily.

Knows neither HTTP nor what the client believes. Start with `world.py`; `ledger.py` records every write.
"""
