"""API of the simulated cloud: from a request to a response.

Start with `gateway.py`, then `routes.py`.
"""
