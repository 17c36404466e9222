"""For all tests: Python looks for cycles of garbage less often than it does by itself.

Collecting the tests, and rewriting their asserts, makes objects by the million, and most of them
stay: looking through them again and again takes a third of that time.

And no example of hypothesis' has a deadline: on a host whose cores a lab of VMs is using, 200 ms
pass in any of them.
"""

from __future__ import annotations

import gc

from hypothesis import settings

settings.register_profile("harness", deadline=None)
settings.load_profile("harness")
# Python 3.11's own are 700, 10, 10.
gc.set_threshold(50_000, 20, 100)


def pytest_collection_finish() -> None:
    """What was collected is there to the end: it is not looked through any more."""
    gc.freeze()
