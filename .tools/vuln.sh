#!/usr/bin/env bash
# Looks for known vulnerabilities in what both Go targets call, and in the npm packages: .tools/vuln.sh path/to/govulncheck
# Where a database cannot be reached this only says so, unless VULN=required.
set -euo pipefail

govulncheck=$1

# unreached CHECK WHERE OUTPUT: says that a check did not run, or fails.
unreached() {
	if [[ ${VULN:-} == required ]]; then
		printf '%s\n' "$3" >&2
		exit 1
	fi
	echo "$1 did NOT run: $2 cannot be reached from here"
}

for target in "$(go env GOOS)/$(go env GOARCH)" js/wasm; do
	if output=$(GOOS=${target%/*} GOARCH=${target#*/} "$govulncheck" ./... 2>&1); then
		echo "govulncheck $target: nothing found"
	elif [[ $output == *"fetching vulnerabilities: Get "* ]]; then
		unreached govulncheck "the database at vuln.go.dev" "$output"
		break
	else
		printf '%s\n' "$output" >&2
		exit 1
	fi
done

# Of what an application gets nothing may be vulnerable; of what only builds, tests and measures nothing badly so.
for scope in "web --omit=dev --audit-level=low" "web --audit-level=high" "web/bench --audit-level=high" "web/engines --audit-level=high" "web/sdks --audit-level=high"; do
	read -ra args <<<"$scope"
	if report=$(cd "${args[0]}" && npm audit --json --fetch-retries=0 "${args[@]:1}" 2>/dev/null); then
		echo "npm audit in $scope: nothing found"
	elif [[ $report == *'"auditReportVersion"'* ]]; then
		(cd "${args[0]}" && npm audit "${args[@]:1}") >&2 || exit 1
	else
		unreached "npm audit" "the registry's list of advisories" "$report"
		break
	fi
done
