"""One module for each state of a target, or for a few that belong together: what is due, and what follows.

Start with `inspecting.py`: what is done about an unknown outcome.
"""
