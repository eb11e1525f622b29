"""Collect facts about cloud and database, and judge them.

Probes read and never judge; rules judge and are pure. Start with `cloud_probe.py`.
"""
