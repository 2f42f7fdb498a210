# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# TAP for tests that compare texts; to be sourced. At the end: points_end.

points=0
failed=0

# point name have want
point() {
	points=$((points + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $points - $1"
	else
		echo "not ok $points - $1"
		echo "# have: $2"
		echo "# want: $3"
		failed=1
	fi
}

points_end() {
	echo "1..$points"
	exit $failed
}
