# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What every script of the harness needs: where things are, how it speaks, and the
# table of kernels. To be sourced.

set -euo pipefail

cptdev_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cptdev_qemu=$cptdev_top/selftests/qemu
cptdev_build=${CPTDEV_BUILD:-$cptdev_top/build}
cptdev_cache=${CPTDEV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cptdev}

# Programs of /sbin (depmod, ip) are used, and an ordinary user's PATH lacks it.
PATH=$PATH:/usr/sbin:/sbin

# What the harness builds goes through ccache, which has compilers in a directory of its own: what was
# compiled once isn't compiled again, in another clone either (paths below its top count as relative).
# It looks at the compiler, the options, and the content of each file that is included.
if [ -x /usr/lib/ccache/gcc ]; then
	[[ :$PATH: == *:/usr/lib/ccache:* ]] || PATH=/usr/lib/ccache:$PATH
	export CCACHE_DIR=$cptdev_cache/ccache CCACHE_MAXSIZE=1G CCACHE_BASEDIR=$cptdev_top CCACHE_NOHASHDIR=1
fi

say() {
	printf '%s\n' "$*"
}

warn() {
	printf '%s\n' "$*" >&2
}

# die cause next-step...
die() {
	printf '%s: %s\n' "${0##*/}" "$1" >&2
	shift
	[ $# -eq 0 ] || printf '  %s\n' "$@" >&2
	exit 1
}

# What "set -e" does, it does in silence.
set -o errtrace
trap 'warn "${0##*/}: failed: ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR

# list_file file: its lines without comments and blanks
list_file() {
	sed -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' "$1"
}

# kernel_names [group|all]
kernel_names() {
	list_file "$cptdev_qemu/kernels" |
		awk -v which="${1:-all}" 'which == "all" || $2 == which {print $1}'
}

# The table's lines by name, read once.
declare -A kernel_lines=()
while read -r line; do
	kernel_lines[${line%%[[:space:]]*}]=$line
done < <(list_file "$cptdev_qemu/kernels")
unset line

# kernel_field name column: a cell of the table
kernel_field() {
	local fields
	read -ra fields <<<"${kernel_lines[$1]:-}"
	[ "$2" -gt ${#fields[@]} ] || printf '%s\n' "${fields[$2 - 1]}"
}

# on_time kernel seconds: how long something may take there
on_time() {
	printf '%d\n' $(($2 * $(kernel_field "$1" 6)))
}

# kernel_arch name: of the machine that it is for, x86_64 or arm64
kernel_arch() {
	case $(kernel_field "$1" 4) in
	*-arm64) printf 'arm64\n' ;;
	*) printf 'x86_64\n' ;;
	esac
}

# arch_tools architecture: what the names of compiler and binutils begin with
arch_tools() {
	[ "$1" != arm64 ] || printf 'aarch64-linux-gnu-\n'
}

# sysroot_dir architecture: the libraries of another one
sysroot_dir() {
	printf '%s\n' "$cptdev_cache/sysroot/$1"
}

kernel_known() {
	[ -n "$(kernel_field "$1" 1)" ]
}

# kernel_require name: die unless the kernel is there to be booted and built for
kernel_require() {
	kernel_known "$1" || die "there is no kernel called '$1'" \
		"The names are: $(kernel_names | xargs)"
	[ -e "$(kernel_dir "$1")/stamp" ] || die "kernel $1 isn't in the cache" \
		"Run: make setup K=$1"
}

kernel_dir() {
	printf '%s\n' "$cptdev_cache/kernels/$1"
}

kernel_release() {
	cat "$(kernel_dir "$1")/release"
}

# kernel_headers name: the directory to give to kbuild as KDIR, as seen in_userland
kernel_headers() {
	local root
	root=$(kernel_dir "$1")/headers
	[ -d "$root" ] || root=''
	printf '%s/usr/src/linux-headers-%s\n' "$root" "$(kernel_release "$1")"
}

# in_userland name directory command...: where a kernel has a userland of its own, the
# command runs in that. It sees the tree and the directory where they are.
# shellcheck disable=SC2016 # for the shell there
in_userland() {
	local root directory=$2 as_root=()
	root=$(kernel_dir "$1")/chroot
	shift 2
	if [ ! -d "$root" ]; then
		"$@"
		return
	fi
	[ "$(id -u)" = 0 ] || as_root=(--map-root-user)
	unshare --mount "${as_root[@]}" bash -c 'set -e
		for dir in /proc /dev "$1" "$2"; do
			mkdir -p "$0$dir"
			mount --rbind "$dir" "$0$dir"
		done
		exec chroot "$0" "${@:3}"' "$root" "$cptdev_top" "$directory" "$@"
}

# The place at which kbuild sees a module's directory: it puts absolute paths into its products.
cptdev_place=$cptdev_cache/place

# in_place directory command...: the command sees the directory as $cptdev_place, whatever clone it
# is of, so that ccache knows its products. False if this machine's users may not mount.
# shellcheck disable=SC2016 # for the shell there
in_place() {
	local as_root=()
	[ "$(id -u)" = 0 ] || as_root=(--map-root-user)
	CCACHE_BASEDIR=$cptdev_place unshare --mount "${as_root[@]}" bash -c 'set -e
		mount --bind "$1" "$0"
		exec "${@:2}"' "$cptdev_place" "$@"
}

can_place() {
	mkdir -p "$cptdev_place" && command -v ccache >/dev/null && in_place "$cptdev_place" true 2>/dev/null
}

# run_kbuild kernel directory module-in-there argument...
run_kbuild() {
	local kbuild=(make -s -j"$(nproc)" -C "$(kernel_headers "$1")" CONFIG_CPTDEV=m "${@:4}") arch
	arch=$(kernel_arch "$1")
	[ "$arch" = x86_64 ] || kbuild+=("ARCH=$arch" "CROSS_COMPILE=$(arch_tools "$arch")")
	if [ -d "$(kernel_dir "$1")/chroot" ] || ! can_place; then
		in_userland "$1" "$2" "${kbuild[@]}" M="$2/$3"
	else
		in_place "$2" "${kbuild[@]}" M="$cptdev_place/$3" 2>&1 | sed "s,$cptdev_place/,$2/,g"
	fi
}

# The directory that stands in for the top of the kernel's source: checkpatch.pl and
# tools/testing/selftests.
kernel_source() {
	printf '%s\n' "$cptdev_cache/source/6.1"
}
