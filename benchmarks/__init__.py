"""fleetos measured: its footprint on the cloud's API and on the machine, beside other ways to do the same job."""
