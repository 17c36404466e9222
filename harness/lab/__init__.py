"""VMs and links on libvirt: the private daemon, images, topology, machines, snapshots, gc."""
