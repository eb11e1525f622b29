"""The cloud's API: paths, request bodies, and the decoding of responses.

Start with `servers.py`. `fleetos.sim` implements the same API independently; neither imports the other.
"""
