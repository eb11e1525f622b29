"""Messages about a run, sent to people: what they are about, what they say, and how they get there.

A notifier follows the records of a run beside the engine. It never delays, stops or fails a rollout.
"""
