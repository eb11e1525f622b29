"""API of the simulated cloud: requests to responses.

Start with `gateway.py`, then `routes.py`.
"""
