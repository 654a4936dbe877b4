#!/usr/bin/env bash
# Runs Go tests compiled to WebAssembly in a browser, on one of Chromium's two IndexedDB backends:
#   .tools/test-wasm.sh leveldb|sqlite [arguments of go test]
# and fails if the browser has used the other one.
set -euo pipefail

backend=${1:?leveldb or sqlite}
shift
root=$(cd "$(dirname "$0")/.." && pwd)
chrome=$("$root/.tools/chrome.sh")

feature=IdbSqliteOnDiskRollout
popups=WebUIOmniboxPopup,WebUIOmniboxAimPopup # see web/test/harness/browser.ts
case $backend in
leveldb) enable="" disable=",$popups,$feature" ;;
sqlite) enable=",$feature:stage/UseSqliteForNewStores" disable=",$popups" ;;
*) echo "unknown backend: $backend" >&2 && exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/profiles"

if [[ $(uname) == Darwin && $backend == sqlite ]]; then
	echo "skipped: on macOS wasmbrowsertest starts the installed app, which keeps its own default backend"
	exit
fi

# wasmbrowsertest has no option for flags of the browser, but it takes the first of some names that it
# finds in PATH, and headless_shell is the first of them. Of a flag given twice the browser heeds one,
# so ours are joined to those that wasmbrowsertest gives. Profiles are kept to look into afterwards.
cat >"$work/bin/headless_shell" <<-EOF
	#!/usr/bin/env bash
	set -euo pipefail
	args=(--disable-component-update --disable-quic)
	for arg; do
		case \$arg in
		--enable-features=*) arg+='$enable' ;;
		--disable-features=*) arg+='$disable' ;;
		--user-data-dir=*) arg='--user-data-dir=$work/profiles/'\$\$ ;;
		esac
		args+=("\$arg")
	done
	exec '$chrome' "\${args[@]}"
EOF

# The program gets the environment through its memory, where there is room for 12 KiB.
cat >"$work/bin/exec" <<-EOF
	#!/usr/bin/env bash
	exec env -i PATH='$work/bin':"\$PATH" HOME="\$HOME" TMPDIR='$work' GOROOT='$(go env GOROOT)' \\
		'$root/.build/bin/wasmbrowsertest' "\$@"
EOF
chmod +x "$work/bin/"*

all=""
if [[ $# == 0 ]]; then
	all=yes
	set -- ./...
fi
cd "$root"
GOOS=js GOARCH=wasm go test -vet=off -timeout=15m -exec "$work/bin/exec" "$@"

# LevelDB has a folder <origin>.indexeddb.leveldb, SQLite has <origin> with one file per database.
stores=$(find "$work/profiles" -path '*/IndexedDB/*' -prune -print)
leveldb=$(grep -c '\.indexeddb\.leveldb$' <<<"$stores" || true)
sqlite=$(grep -c -v -e '\.indexeddb\.' -e '^$' <<<"$stores" || true)
echo "IndexedDB stores left in the profiles: $leveldb LevelDB, $sqlite SQLite"
if [[ $backend == leveldb && $sqlite != 0 || $backend == sqlite && $leveldb != 0 ]]; then
	echo "this browser has not used $backend for IndexedDB" >&2
	exit 1
fi
if [[ -n $all && $((leveldb + sqlite)) == 0 && $(uname) != Darwin ]]; then
	echo "the tests have not used IndexedDB in the profiles made for them" >&2
	exit 1
fi
