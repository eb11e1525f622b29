"""Nouns of steering: waves, groups, budgets and windows, as a plan says them and as a run freezes them.

Start with `rollout.py`.
"""
