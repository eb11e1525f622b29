"""Processes that serve a simulated world on loopback.

Start with `serve.py`.
"""
