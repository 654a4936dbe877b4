#!/usr/bin/env bash
# Sees to it that `make engines` can run WebKitGTK: its driver, its library for the system's Python, and a screen.
# Installs Debian's packages when something is missing and it may.
set -euo pipefail

packages=(webkit2gtk-driver gir1.2-webkit2-4.1 python3-gi xvfb)

complete() {
	command -v WebKitWebDriver Xvfb >/dev/null && /usr/bin/python3 -c '
import gi
gi.require_version("WebKit2", "4.1")
from gi.repository import WebKit2' 2>/dev/null
}

complete && exit

if [[ $(id -u) == 0 && -e /etc/debian_version ]]; then
	echo "no WebKitGTK found that can be driven, installing Debian's packages" >&2
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -q && apt-get install -qy --no-install-recommends "${packages[@]}"; } >&2
	complete && exit
fi

echo "no WebKitGTK found that can be driven: install it (Debian: apt-get install ${packages[*]})" >&2
exit 1
