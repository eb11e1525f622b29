"""Rollout of the run, in memory: who waits and why, which wave and which window is open, and who is out.

Start with `state.py`.
"""
