"""Send one HTTP request and read its response.

Rate limits and logins must not be here. Start with `transport.py`, which proves whether a failed request left this
machine.
"""
