"""Rehearse a plan: play its frozen run against a simulated cloud, in virtual time."""
