"""Scenario of a world: its servers, images, durations and faults.

Start with `scenario.py`, then `faults.py`.
"""
