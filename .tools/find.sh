# Sourced by the scripts beside it, which look for programs of the system.

# Prints the path of the first of these that exists.
first_of() {
	local name
	for name; do
		command -v "$name" && return
	done
	return 1
}

# Prints the path of the program that the user has set the named variable to, if it is set, and ends the script.
chosen_by() {
	[[ -n ${!1:-} ]] || return 0
	command -v "${!1}" && exit
	echo "$1=${!1} is not an executable file" >&2
	exit 1
}

# Runs `find`, which the script defines. Where it fails, installs these packages of Debian's, if it may, and runs it again.
find_or_install() {
	local what=$1 hint=$2
	shift 2
	find && return
	if [[ $(id -u) == 0 && -e /etc/debian_version ]]; then
		echo "no $what found, installing Debian's package" >&2
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"; } >&2
		find && return
	fi
	echo "no $what found: $hint (Debian: apt-get install $*)" >&2
	return 1
}
