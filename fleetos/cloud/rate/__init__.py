"""Keep to the request rate of a project.

Start with `throttle.py`: a 429 is handled there.
"""
