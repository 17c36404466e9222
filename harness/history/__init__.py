"""Histories of a block device and what they prove: operations in, violations out.

Every 4 KiB block is a register of its own and every write is unique, so correctness is decided
block by block, in linear or n log n time. Nothing here knows of fio, DRBD or an evidence folder.

* ``model``: the operations of one LUN as arrays.
* ``store``: the file format, versioned.
* ``sweep``: linearizability where at most one write is outstanding per block.
* ``zones``: linearizability where writes may overlap; zombie writes after a fence.
* ``floor``: what must have survived where the cache was volatile.
* ``fidelity``: how much was lost, over which window, and whether in order.
"""
