#!/usr/bin/env bash
# Prints the path of strace, with which a test counts how often the browser syncs the disk.
# Installs Debian's package when there is none and it may.
set -euo pipefail
source "$(dirname "$0")/find.sh"

find() {
	command -v strace
}

find_or_install strace "install it" strace
