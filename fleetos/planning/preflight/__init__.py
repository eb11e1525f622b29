"""Check a plan against what the cloud has. Pure.

Start with `preflight.py`.
"""
