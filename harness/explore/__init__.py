"""Searches beyond the written scenarios: schedules of overlapping faults and operations.

* ``schedule``: what a schedule is; ``feature``: as a Gherkin file that a person can read and edit.
* ``forecast``: what a schedule does to the cluster at worst, and the limits that it has to keep.
* ``kinds``, ``disturbances``, ``outages``, ``links``, ``operations``, ``repairs``, ``moments``:
  what a schedule is made of; ``vocabulary``: all of it.
* ``draw``: from seed, number and coverage to a schedule; ``shrink``: from a failing schedule to a
  minimal one.
* ``coverage``, ``sequence``: what an evidence folder tells of both; pure.
* ``runner``, ``exploration``, ``replay``, ``records``: runs them, and goes on where it was.
* ``command``: ``harness explore`` and ``harness replay``.
"""
