"""Turn a plan file into a frozen run. Changes nothing in the cloud.

Order: `agreement`, `frozen_plan` > `freeze`, `drift` > `preflight`, `estimate` > `secrets`, `settings` > `plan_file`.
Start with `plan_file/load.py`, then `preflight/preflight.py`, then `freeze.py`.
"""
