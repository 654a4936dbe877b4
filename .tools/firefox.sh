#!/usr/bin/env bash
# Prints the path of the Firefox that `make engines` runs in: $FIREFOX, or the first one found.
# Installs Debian's package when there is none and it may.
set -euo pipefail

find_firefox() {
	local name
	for name in firefox-esr firefox "/Applications/Firefox.app/Contents/MacOS/firefox"; do
		command -v "$name" && return
	done
	return 1
}

if [[ -n ${FIREFOX:-} ]]; then
	command -v "$FIREFOX" && exit
	echo "FIREFOX=$FIREFOX is not an executable file" >&2
	exit 1
fi

find_firefox && exit

if [[ $(id -u) == 0 && -e /etc/debian_version ]]; then
	echo "no Firefox found, installing Debian's package" >&2
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -q && apt-get install -qy --no-install-recommends firefox-esr; } >&2
	find_firefox && exit
fi

echo "no Firefox found: install it (Debian: apt-get install firefox-esr), or set FIREFOX to its path" >&2
exit 1
