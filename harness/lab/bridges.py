"""The bridges that the links are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroute2 import IPRoute

from harness.lab.topology import MTU, Link

if TYPE_CHECKING:
    from harness.lab.topology import Topology


def make_bridges(topology: Topology, mac: str | None = None) -> None:
    """Make the bridges of all links in this network namespace, and give them their addresses.

    Args:
        topology: their names, addresses and MTUs.
        mac: the MAC address of all of them, by which ``remove_bridges`` knows them; None gives
            each the one that the topology has for it.

    Raises:
        pyroute2.NetlinkError: EEXIST if a name is taken; what was made until then stays.
    """
    with IPRoute() as ip:
        for link in Link:
            name = topology.bridge(link)
            ip.link("add", ifname=name, kind="bridge", address=mac or topology.bridge_mac(link))
            index = ip.link_lookup(ifname=name)[0]
            # br_forward_delay 0 and no snooping: frames pass from the first moment on.
            ip.link("set", index=index, kind="bridge", br_forward_delay=0, br_mcast_snooping=0)
            ip.link("set", index=index, mtu=MTU[link], state="up")
            if link is not Link.DRBD:  # a direct connection between the nodes
                ip.addr("add", index=index, address=topology.host_address(link), prefixlen=24)


def has_bridges(topology: Topology, mac: str) -> bool:
    """Whether one of the topology's bridges has this MAC address."""
    with IPRoute() as ip:
        return any(ip.link_lookup(ifname=topology.bridge(link), address=mac) for link in Link)


def remove_bridges(topology: Topology, mac: str) -> list[str]:
    """Remove those bridges of the topology that have this MAC address; returns their names."""
    removed = []
    with IPRoute() as ip:
        for link in Link:
            name = topology.bridge(link)
            for index in ip.link_lookup(ifname=name, address=mac):
                ip.link("del", index=index)
                removed.append(name)
    return removed


def addresses_in_use(topology: Topology) -> list[str]:
    """Addresses of this network namespace that lie in one of the topology's subnets."""
    prefixes = tuple(f"{topology.subnet(link)}." for link in Link)
    with IPRoute() as ip:
        found = [str(entry.get_attr("IFA_ADDRESS")) for entry in ip.get_addr()]
    return [address for address in found if address.startswith(prefixes)]
