#!/usr/bin/env bash
# Prints the path of the Firefox that `make engines` runs in: $FIREFOX, or the first one found.
# Installs Debian's package when there is none and it may.
set -euo pipefail
source "$(dirname "$0")/find.sh"

find() {
	first_of firefox-esr firefox "/Applications/Firefox.app/Contents/MacOS/firefox"
}

chosen_by FIREFOX
find_or_install Firefox "install it, or set FIREFOX to its path" firefox-esr
