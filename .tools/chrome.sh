#!/usr/bin/env bash
# Prints the path of the browser that the tests run in: $CHROME, or the first Chromium found.
# Installs Debian's package when there is none and it may.
set -euo pipefail
source "$(dirname "$0")/find.sh"

find() {
	first_of google-chrome-stable google-chrome chromium chromium-browser chrome \
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
		"/Applications/Chromium.app/Contents/MacOS/Chromium"
}

chosen_by CHROME
find_or_install Chromium "install Chrome or Chromium, or set CHROME to its path" chromium
