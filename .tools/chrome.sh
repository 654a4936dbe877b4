#!/usr/bin/env bash
# Prints the path of the browser that the tests run in: $CHROME, or the first Chromium found.
# Installs Debian's package when there is none and it may.
set -euo pipefail

find_chrome() {
	local name
	for name in google-chrome-stable google-chrome chromium chromium-browser chrome \
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
		"/Applications/Chromium.app/Contents/MacOS/Chromium"; do
		command -v "$name" && return
	done
	return 1
}

if [[ -n ${CHROME:-} ]]; then
	command -v "$CHROME" && exit
	echo "CHROME=$CHROME is not an executable file" >&2
	exit 1
fi

find_chrome && exit

if [[ $(id -u) == 0 && -e /etc/debian_version ]]; then
	echo "no Chromium found, installing Debian's package" >&2
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -q && apt-get install -qy --no-install-recommends chromium; } >&2
	find_chrome && exit
fi

echo "no Chromium found: install Chrome or Chromium (Debian: apt-get install chromium), or set CHROME to its path" >&2
exit 1
