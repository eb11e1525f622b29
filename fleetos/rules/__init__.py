"""Rules of a run, pure: a target and what is known go in, events or needs come out.

No I/O, no clock and no chance: time and random numbers are arguments. Order: decide > states > outcomes, replies,
action_log, polling > admission > needs > observation, forecast. Start with `decide.py`.
"""
