"""Engine: drives one run. One turn judges facts, decides, commits, and only then sends.

No HTTP and no SQL: the engine asks for effects through `protocols.py`. Order: engine > reconcile, judge, sender >
tracker > sweeps > change_tracker, rollout, observations, agenda, turn, performer > facts, protocols. Start with
`engine.py`.
"""
