"""Many clusters at once: one run, many workers of pytest-xdist, each with a cluster of its own.

The controller leases slots of a pool, gives each worker one of them and a part of the run's folder,
hands out the scenarios one by one, the longest first, and gathers what the parts hold.

No part of a result: which worker ran a scenario, and when, changes nothing of what comes of it.
"""
