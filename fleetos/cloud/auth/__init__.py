"""Find credentials, log in, and authenticate requests.

Start with `sources.py` (find credentials), then `token_cache.py` (use and renew a token).
"""
