#!/usr/bin/env bash
# Prints the licences of what is compiled into holdfast.wasm: binary copies have to carry them.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "holdfast.wasm contains code under these licences. Holdfast's own is in LICENSE."
printf '\n==== The Go standard library, %s\n\n' "$(go env GOVERSION)"
cat "$(go env GOROOT)/LICENSE"
GOOS=js GOARCH=wasm go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./wasm | sort -u |
	while read -r path version folder; do
		printf '\n==== %s %s\n\n' "$path" "$version"
		cat "$folder"/LICENSE*
	done
