"""Limit the request rate of a project.

Start with `throttle.py`, which also handles a 429.
"""
