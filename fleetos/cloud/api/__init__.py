"""Words of the cloud's API: paths, request bodies, and how responses are decoded.

Start with `servers.py`. The simulated cloud reads the same API a second time, in `fleetos.sim`; neither imports the
other.
"""
