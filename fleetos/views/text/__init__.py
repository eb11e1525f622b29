"""Words that several views share: reasons, notes, times.

Start with `reasons.py`.
"""
