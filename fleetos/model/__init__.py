"""Nouns, events and laws. Pure: no I/O, no clock, no chance.

Order: progress > journal > run > plan, states; every other module stands by itself. Start with `states.py`, then
`run.py`, then `journal/events.py`.
"""
