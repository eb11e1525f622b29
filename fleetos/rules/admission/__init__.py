"""Admission: which targets may start, and why the others wait.

Start with `why_not.py`.
"""
