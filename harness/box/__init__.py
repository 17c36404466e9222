"""A Vagrant box (libvirt provider) from the guest image of vagrant/image."""

from harness.box.making import BOX_FILES, box_name, make_box

__all__ = ["BOX_FILES", "box_name", "make_box"]
