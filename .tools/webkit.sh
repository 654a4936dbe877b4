#!/usr/bin/env bash
# Sees to it that `make engines` can run WebKitGTK: its driver, its library for the system's Python, and a screen.
# Installs Debian's packages when something is missing and it may.
set -euo pipefail
source "$(dirname "$0")/find.sh"

find() {
	command -v WebKitWebDriver Xvfb >/dev/null && /usr/bin/python3 -c '
import gi
gi.require_version("WebKit2", "4.1")
from gi.repository import WebKit2' 2>/dev/null
}

find_or_install "WebKitGTK that can be driven" "install it" webkit2gtk-driver gir1.2-webkit2-4.1 python3-gi xvfb
