"""Requests, responses and error codes of the simulated cloud, before sockets.

Start with `messages.py`.
"""
