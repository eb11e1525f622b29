"""Send one HTTP request and read its response.

No waiting for a rate and no login here. Start with `transport.py`: it proves whether a failed request left this
machine.
"""
