"""Variants of the cluster: each runs the acceptance features, and what comes of it is a row.

A variant is no mistake, as a mutant is. It is another way in which people build such a cluster, and
what is asked is whether it is safe. docs/support-matrix.md has the answers.
"""
