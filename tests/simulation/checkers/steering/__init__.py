"""Judges of steering: windows, budgets, waves, groups and waits, each with arithmetic of its own."""
