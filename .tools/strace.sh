#!/usr/bin/env bash
# Prints the path of strace, with which a test counts how often the browser syncs the disk.
# Installs Debian's package when there is none and it may.
set -euo pipefail

command -v strace && exit

if [[ $(id -u) == 0 && -e /etc/debian_version ]]; then
	echo "no strace found, installing Debian's package" >&2
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -q && apt-get install -qy --no-install-recommends strace; } >&2
	command -v strace && exit
fi

echo "no strace found: install it (Debian: apt-get install strace)" >&2
exit 1
