# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Packages. The mirror is always the one that the machine's own apt configuration
# names; the backports suite is added to it in a scratch configuration, so that the
# machine's is left as it was. To be sourced by setup.

apt_log=$cptdev_cache/log/apt.log
apt_scratch=$cptdev_cache/apt

# apt_run what command...: quiet, and a clear end when it fails
apt_run() {
	local what=$1
	shift
	mkdir -p "${apt_log%/*}"
	if ! DEBIAN_FRONTEND=noninteractive "$@" >"$apt_log" 2>&1 </dev/null; then
		warn "apt's last words:"
		grep -E '^(E:|W:|Err:| )' "$apt_log" | tail -n 8 >&2 || tail -n 8 "$apt_log" >&2
		die "couldn't $what" \
			"Cause: above, the whole log is $apt_log." \
			"Next: see that the network and the sources in /etc/apt work" \
			"(apt-get update), then run the same command again."
	fi
}

# Repositories as apt itself understood its configuration, in whatever format that is:
# address, suite, component, key, origin, one line each.
# shellcheck disable=SC2016 # for apt
apt_repositories() {
	apt-get indextargets --format \
		'$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)|$(ORIGIN)|$(CODENAME)|$(TRUSTED)' \
		'Created-By: Packages' | sort -u
}

# The origin is only known once the lists are there.
apt_debian_repositories() {
	apt_repositories | awk -F'|' '$5 == "Debian" && $3 == "main"'
}

# One line of a sources.list from one line of apt_repositories.
apt_source_line() {
	local uri=$1 suite=$2 key=$3 trusted=$4 options=''
	# A key that stands in the configuration itself can't be named in one line;
	# Debian's own are trusted anyway.
	case $key in
	/*) options="signed-by=$key" ;;
	esac
	[ "$trusted" != yes ] || options="${options:+$options }trusted=yes"
	printf 'deb %s%s %s main\n' "${options:+[$options] }" "$uri" "$suite"
}

# The archive of Debian that the machine uses.
apt_mirror() {
	apt_debian_repositories | awk -F'|' '$6 == "bookworm" {print $1; exit}'
}

apt_write_sources() {
	local uri suite key codename trusted
	apt_debian_repositories |
	while IFS='|' read -r uri suite _ key _ codename trusted; do
		apt_source_line "$uri" "$suite" "$key" "$trusted"
		[ "$codename" != bookworm ] ||
			apt_source_line "$uri" bookworm-backports "$key" "$trusted"
	done | sort -u
}

# Set by setup: an architecture whose packages are fetched too, but not installed.
apt_foreign=''

# Options that make apt use the scratch configuration.
apt_scratch_options() {
	[ -z "$apt_foreign" ] || printf '%s\n' -o APT::Architectures::=amd64 -o "APT::Architectures::=$apt_foreign"
	printf '%s\n' \
		-o "Dir::Etc::SourceList=$apt_scratch/sources.list" \
		-o "Dir::Etc::SourceParts=/dev/null" \
		-o "Dir::State::Lists=$apt_scratch/lists" \
		-o "Dir::Cache=$apt_scratch/cache" \
		-o "Acquire::Languages=none" \
		-o "Dir::Cache::pkgcache=pkgcache.bin" \
		-o "APT::Keep-Downloaded-Packages=false" \
		-o "APT::Sandbox::User=root"
}

# apt_with program arguments...: the program with the scratch configuration
apt_with() {
	local program=$1 options
	shift
	mapfile -t options < <(apt_scratch_options)
	"$program" "${options[@]}" "$@"
}

# Once per run of set-up, and only if something has to be fetched.
apt_scratch_update() {
	[ -z "${apt_scratch_fresh:-}" ] || return 0
	apt_update
	mkdir -p "$apt_scratch/lists/partial" "$apt_scratch/cache/archives/partial"
	apt_write_sources >"$apt_scratch/sources.list"
	grep -q bookworm-backports "$apt_scratch/sources.list" ||
		die "apt's configuration names no archive of Debian 12" \
			"Next: add one to /etc/apt/sources.list, then run the same command again."
	say "setup: package lists (with backports, in a scratch configuration)"
	apt_run "read the package lists" apt_with apt-get update
	apt_scratch_fresh=1
}

# The machine's own lists: to learn the origins, and to install from.
apt_update() {
	[ -z "${apt_fresh:-}" ] || return 0
	say "setup: package lists"
	apt_run "read the package lists" apt-get update
	apt_fresh=1
}

apt_missing() {
	local package
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
			grep -qx installed || printf '%s\n' "$package"
	done
}

need_root() {
	[ "$(id -u)" = 0 ] || die "not root, and packages are missing: $*" \
		"Next: run 'make setup' as root once; everything else runs as any user."
}

# apt_install_packages [list]: the packages that a file here names
apt_install_packages() {
	local missing
	# One call for the usual case, that all is there.
	mapfile -t missing < <(apt_missing_quick "${1:-packages}")
	[ ${#missing[@]} -gt 0 ] || return 0
	mapfile -t missing < <(apt_missing "${missing[@]}")
	[ ${#missing[@]} -gt 0 ] || return 0
	need_root "${missing[*]}"
	apt_scratch_update
	mapfile -t missing < <(apt_choose_suites "${missing[@]}")
	say "setup: installing ${missing[*]}"
	apt_run "install packages" apt_with apt-get install -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 "${missing[@]}"
}

# A machine that has libraries from backports needs their -dev packages from there.
apt_choose_suites() {
	local package
	if apt_possible "$@"; then
		printf "%s\n" "$@"
		return
	fi
	for package; do
		if apt_possible "$package"; then
			printf "%s\n" "$package"
		else
			printf "%s\n" "$package/bookworm-backports"
		fi
	done
}

apt_possible() {
	apt_with apt-get install -s --no-install-recommends "$@" >/dev/null 2>&1
}

apt_missing_quick() {
	comm -13 \
		<(dpkg-query -W -f '${db:Status-Status} ${Package}\n' |
			sed -n 's/^installed //p' | sort -u) \
		<(list_file "$cptdev_qemu/$1" | sort -u)
}

# qemu_version machine: nothing if there is none
qemu_version() {
	{ "qemu-system-$1" --version 2>/dev/null || true; } | sed -n 's/.*version \([0-9]*\)\..*/\1/p'
}

# QEMU 7.2, the release's own, crashes 6.12 in early boot. Only what has to come from
# backports does: with the whole suite as the target, systemd would.
# apt_install_qemu machine package package...: the first has the machine, it needs the others
apt_install_qemu() {
	local machine=$1 version packages
	version=$(qemu_version "$machine")
	[ "${version:-0}" -lt 10 ] || return 0
	shift
	need_root "$1 10 of bookworm-backports"
	apt_scratch_update
	say "setup: installing QEMU ($machine) from backports${version:+ (version $version is too old)}"
	packages=("${@/%//bookworm-backports}")
	apt_possible "${packages[@]}" || packages=(-t bookworm-backports "$1")
	apt_run "install QEMU from backports" apt_with apt-get install -y \
		--no-install-recommends -o DPkg::Lock::Timeout=300 "${packages[@]}"
}

# In the functions below, a package of another architecture is "name:architecture".

# apt_show package suite field: of the candidate, or of what the suite has
apt_show() {
	local release=()
	[ "$2" = - ] || release=(-o "APT::Default-Release=$2")
	apt_with apt-cache "${release[@]}" --no-all-versions show "$1" 2>/dev/null |
		sed -n "s/^$3: //p"
}

# apt_fetch package suite directory: download the .deb, once
apt_fetch() {
	local package=$1 version
	version=$(apt_show "$package" "$2" Version)
	[ -n "$version" ] || die "there is no package $package in the suite" \
		"Next: see that the mirror in /etc/apt is up to date (apt-get update)."
	mkdir -p "$3"
	(cd "$3" && compgen -G "${package%:*}_${version//:/%3a}_*.deb" >/dev/null) && return 0
	say "setup: fetching $package $version"
	(cd "$3" && apt_run "fetch $package" apt_with apt-get download "$package=$version")
}

# apt_unpack package directory target
apt_unpack() {
	local deb
	deb=$(compgen -G "$2/${1%:*}_*.deb" | tail -n 1)
	mkdir -p "$3"
	dpkg-deb -x "$deb" "$3"
}
