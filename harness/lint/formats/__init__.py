"""Readers of the files a cluster is configured by: a typed result, or ``FormatError``.

None of them knows of rules or folders. Lines are counted from 1.
"""
