"""One module for each state of a target, or for a few that belong together: what is due, and what follows.

Nothing here sends or reads: rules return events and needs. Order: inspecting > changing, ready > verifying; power
stands beside them. Start with `inspecting.py`: it decides about an unknown outcome.
"""
