"""How long scenarios take, and which of them fit into a given time.

No part of a result: what is run when changes nothing of what comes of it.
"""
