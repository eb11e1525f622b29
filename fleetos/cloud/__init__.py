"""Client of the cloud's API.

Everything that leaves this machine for a cloud leaves here. Nothing here decides what happens to a server.
Order: `connect` > `client` > `api` > `session` > `auth` > `rate` > `http`; `operations` stands beside them.
Start with `client.py`, then `session.py`, then `http/transport.py`.
"""
