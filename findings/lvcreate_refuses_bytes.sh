#!/usr/bin/env bash
# LVM 2.03.16: `lvcreate --size 210554060b` is refused, "Size is not a multiple of 512", while the same amount in any
# larger unit (205619.2k) is rounded up to whole extents without a word. The manual says of sizes that they are
# rounded, and nothing of sectors.
#
# So a snapshot that is to have a share of its original's size, computed in bytes as `lvs --units b` reports it, can be
# made or not depending on the original: a fifth of 1,004 MiB cannot, a fifth of 1,000 MiB can. Whoever falls back
# where no snapshot can be made does so for four out of five volumes. Round to sectors, or say it in larger units.
#
# Needs Debian's apt; LVM is fetched and not installed. It refuses before it looks for any volume group.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 777 "$work"
cd "$work"
apt-get -q download lvm2 liblvm2cmd2.03 libdevmapper1.02.1 libdevmapper-event1.02.1 libaio1 >/dev/null 2>&1
for package in *.deb; do dpkg-deb -x "$package" .; done
export LD_LIBRARY_PATH=$work/lib/x86_64-linux-gnu:$work/usr/lib/x86_64-linux-gnu LVM_SUPPRESS_FD_WARNINGS=1 LC_ALL=C

tried() { sbin/lvm lvcreate --size "$1" --name any none 2>&1 || true; }

refused="Size is not a multiple of 512. Try using 210553856 or 210554368."
tried $((1004 * 1024 * 1024 / 5))b | grep -qF "$refused"
for size in $((1000 * 1024 * 1024 / 5))b 205619.2k; do
  if tried "$size" | grep "multiple of 512"; then exit 1; fi
done
echo "as recorded: lvcreate takes no size in bytes that is not a number of sectors"
