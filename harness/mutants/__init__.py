"""Mutants: planted misconfigurations, each with the scenario that must fail and the check that must
say why. A harness is worth what its red is worth.

* ``model``: a mutant is a configuration file (docs/configuration.md) with a table ``[mutant]``.
* ``score``: from the verdicts of its runs to caught or missed; pure.
* ``ledger``: what tries came to, kept when their runs are not.
* ``campaign``: runs mutants one after the other; can be resumed.
"""
