#!/usr/bin/env bash
# Looks for known vulnerabilities in what both targets call: .tools/vuln.sh path/to/govulncheck
# Where the database cannot be reached this only says so, unless VULN=required.
set -euo pipefail

govulncheck=$1

for target in "$(go env GOOS)/$(go env GOARCH)" js/wasm; do
	if output=$(GOOS=${target%/*} GOARCH=${target#*/} "$govulncheck" ./... 2>&1); then
		echo "govulncheck $target: nothing found"
	elif [[ $output == *"fetching vulnerabilities: Get "* && ${VULN:-} != required ]]; then
		echo "govulncheck did NOT run: the database at vuln.go.dev cannot be reached from here"
		exit
	else
		printf '%s\n' "$output" >&2
		exit 1
	fi
done
