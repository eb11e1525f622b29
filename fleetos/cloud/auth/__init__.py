"""Find credentials, log in, and authenticate requests.

Start with `sources.py` (where credentials come from), then `token_cache.py` (how long a token is used).
"""
