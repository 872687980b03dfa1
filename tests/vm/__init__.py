"""Freezing real LVM volumes and real ZFS datasets: runs in a machine of its own, see testenv/vm.

The files are called `case_*.py`, so that nobody collects them by chance: they own the disks that they find.
"""
