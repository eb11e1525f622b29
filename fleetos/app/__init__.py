"""Use cases, without terminal and exit codes: survey, freeze, drive, control, doctor.

They take callbacks and return results; the command line is one front end of several. Start with `control.py`, then
`drive.py`.
"""
