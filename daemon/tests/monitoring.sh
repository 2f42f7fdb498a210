# SPDX-License-Identifier: GPL-2.0-or-later
# The alert rules and the dashboard use only metrics that cptdevctl has, and all that matter. TAP.
# TOP and BIN are set by the Makefile.

etc=$TOP/daemon/etc/monitoring
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
number=0

# t NAME DIFFERENCES: a test that passes if there are none
t() {
	number=$((number + 1))
	if [ -z "$2" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}

# A counter's samples have a name of their own in OpenMetrics.
sed -n 's/.*[({] *\(m, \)\?"\(cptdev_[a-z_]*\)", *\("counter"\)\?.*/\2 \3/p' \
	"$TOP/daemon/cptdevctl/metrics.c" | sed 's/ "counter"$/_total/; s/ $//' | sort -u >"$dir/known"

names() { # of metrics that a file uses
	grep -o 'cptdev_[a-z_]*' "$@" | sort -u
}

unknown() {
	names "$1" | comm -23 - "$dir/known"
}

t 'cptdevctl has metrics' "$([ "$(wc -l <"$dir/known")" -gt 20 ] || echo 'metrics.c was not understood')"
t 'each metric of the alert rules exists' "$(unknown "$etc/cptdev-alerts.yml")"
t 'each metric of the dashboard exists' "$(unknown "$etc/cptdev-dashboard.json")"
# The negative control: a name that differs in one letter.
sed 's/cptdev_held_bytes/cptdev_hold_bytes/' "$etc/cptdev-alerts.yml" >"$dir/wrong"
t 'and a wrong name would be found' "$([ "$(unknown "$dir/wrong")" = cptdev_hold_bytes ] || echo 'it was not')"
t 'the dashboard is JSON' "$(/usr/bin/python3 -m json.tool "$etc/cptdev-dashboard.json" 2>&1 >/dev/null)"
t 'the page has every alert' "$(sed -n 's/^ *- alert: //p' "$etc/cptdev-alerts.yml" |
	while read -r alert; do
		grep -q "^\.It Cm $alert" "$TOP/Documentation/man/man8/cptdevctl.8" || echo "$alert isn't in cptdevctl(8)"
	done)"
echo "1..$number"
