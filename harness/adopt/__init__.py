"""Machines that somebody else made (Vagrant), taken as a lab: prepared, found, formed and run on.

What is below the folder ``vagrant`` of the cache:

    lab.json      what the machines are to be (harness.adopt.plan); vagrant/Vagrantfile reads it
    secrets.json  the cluster's keys, as in a formed cluster; ssh_key and fence.key for programs
    disks/        the seeds; and, once adopted, a link to each backing disk
    ch/, console/ the witnesses' sockets and the consoles' logs, as in a lab's folder
    adopted.json  what was found, and where (harness.adopt.found)
"""

SYSTEM = "qemu:///system"
"""The libvirt that Vagrant uses, unless it is told of another one."""
