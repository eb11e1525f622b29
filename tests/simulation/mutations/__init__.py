"""Deliberate faults, each in a private copy of the source: who judges the simulated plays must find every one."""
