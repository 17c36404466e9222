"""Failure-injection test harness for two-node DRBD/iSCSI clusters on libvirt VMs."""

__version__ = "0.1.0"
