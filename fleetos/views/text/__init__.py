"""Words that several views share: reasons, notes, times. Imports no other part of `views`.

Start with `reasons.py`.
"""
