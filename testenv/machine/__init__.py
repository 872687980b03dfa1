"""A small virtual machine in which drkit freezes real LVM volumes and real ZFS datasets.

What runs in it are the cases of tests/vm. It has a kernel, LVM and ZFS of its own: those of the host are not
touched, and need not be there.
"""
