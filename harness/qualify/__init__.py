"""Qualifying a runner: whether the lab works on this host, and with which margins of time.

No part of a result: it starts runs as anybody would, and reads their evidence afterwards
(docs/qualifying.md).
"""
