#!/usr/bin/env bash
# Gives every decoder of stored bytes, which are the fuzz targets of the Go tests, hostile inputs:
#   .tools/fuzz.sh inputs-for-each
# The first 200,000 are guided by coverage; the others are mutations of the corpus, which come some fifty times as fast.
# Of an input that fails go test tells the file, which is then a test of its own. FUZZ_SEED is 1 unless it is said.
set -euo pipefail
cd "$(dirname "$0")/.."

inputs=${1:?how many inputs}
guided=$((inputs < 200000 ? inputs : 200000))
for package in ./core ./core/runner ./idbstore; do
	targets=$(go test -vet=off -list '^Fuzz' "$package" | grep '^Fuzz')
	for target in $targets; do
		echo "$package $target"
		go test -vet=off -run '^$' -fuzz "^$target\$" -fuzztime "${guided}x" "$package" | tail -n 3
		echo "result: $target: $guided inputs, guided by coverage"
		if ((inputs > guided)); then
			go test -vet=off -timeout=0 -v -run "^$target\$" "$package" -mutations=$((inputs - guided)) -mutations.seed="${FUZZ_SEED:-1}" |
				grep -v '^ *\(=== RUN\|--- PASS: .*/\)'
		fi
	done
done
