# SPDX-License-Identifier: GPL-2.0-or-later
# cptdevctl report: what is in the archive, and what must not be. TAP.

ctl=$BIN/cptdevctl
. "$TOP/daemon/tests/shell/point.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The socket of nobody: a report is wanted most where nothing runs.
report() {
	"$ctl" report -s "$work/nobody" "$@"
}

umask 000
point 'a report is written' "$(report "$work/r.tar.gz" >"$work/said"; echo $?)" 0
point 'it says what is in it' "$(grep -c 'no keys' "$work/said")" 1
point 'for its user only' "$(stat -c %a "$work/r.tar.gz")" 600
point 'every part' "$(tar -tzf "$work/r.tar.gz" | sed 's,^\./,,' | sort | xargs)" \
	"check.txt cptdevd.conf daemon.txt journal.txt kernel.txt meminfo.txt metrics.txt module.txt os-release.txt status.json status.txt uname.txt version.txt"
mkdir "$work/in"
tar -C "$work/in" -xzf "$work/r.tar.gz"
point 'the version' "$(head -n 1 "$work/in/version.txt")" "$("$ctl" version 2>&1 | head -n 1)"
point 'the problems' "$(grep -c "cptdevd isn't running ($work/nobody)" "$work/in/status.txt")" 2
point 'how a command ended' "$(tail -n 1 "$work/in/status.txt" | grep -c '^\[exit status [1-9]')" 1
point 'the metrics' "$(tail -n 1 "$work/in/metrics.txt")" '# EOF'
point 'nothing is left elsewhere' "$(find /tmp -maxdepth 1 -name 'cptdev-report-*' -newer "$work" | wc -l)" 0
point 'an old one stays' "$(report "$work/r.tar.gz" 2>&1; echo $?)" \
	"cptdevctl: no report was written to $work/r.tar.gz: File exists
Next: choose another name
1"
point 'no directory' "$(report "$work/none/r.tar.gz" 2>&1 | head -n 1)" \
	"cptdevctl: no report was written to $work/none/r.tar.gz: No such file or directory"
cd "$work" || exit
report >/dev/null
point 'a name of its own' "$(find . -name "cptdev-report-*-????????T??????Z.tar.gz" | wc -l)" 1
# A full disk: nothing half done is left.
point 'no room' "$(trap '' XFSZ; ulimit -f 1; report full.tar.gz 2>&1 | head -n 1; test -e full.tar.gz; echo $?)" \
	"cptdevctl: no report was written to full.tar.gz: Input/output error
1"
point 'and nothing is left elsewhere' "$(find /tmp -maxdepth 1 -name 'cptdev-report-*' -newer "$work" | wc -l)" 0
# Where tar can't be run, there is no archive.
mkdir bin
for tool in timeout cat uname sh; do
	ln -s "$(command -v $tool)" bin/$tool
done
point 'without tar' "$(PATH=$work/bin report without.tar.gz 2>&1 | head -n 1; test -e without.tar.gz; echo $?)" \
	"cptdevctl: no report was written to without.tar.gz: No such file or directory
1"
points_end
