#!/usr/bin/env bash
# Gives every decoder of stored bytes, which are the fuzz targets of the Go tests, hostile inputs:
#   .tools/fuzz.sh inputs-for-each
# Of an input that fails go test tells the file, which is then a test of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

inputs=${1:?how many inputs}
for package in ./core ./idbstore; do
	targets=$(go test -vet=off -list '^Fuzz' "$package" | grep '^Fuzz')
	for target in $targets; do
		echo "$package $target"
		go test -vet=off -run '^$' -fuzz "^$target\$" -fuzztime "${inputs}x" "$package" | tail -n 3
	done
done
