# SPDX-License-Identifier: GPL-2.0-or-later
# cptdevctl plot: a recording by hand, of which each value is known. TAP.

ctl=$BIN/cptdevctl
. "$TOP/daemon/tests/shell/point.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit

# session SECONDS event name published committed [pages pause_ns]
session() {
	printf '{"time":"2026-01-02T03:04:%sZ","object":"session","event":"%s","session":{"name":"%s","published":%s,"committed":%s,"last_pages":%s,"last_pause_ns":%s}}\n' \
		"$1" "$2" "$3" "$4" "$5" "${6:-0}" "${7:-0}"
}

state() { # SECONDS name state
	printf '{"time":"2026-01-02T03:04:%sZ","object":"session-state","event":"%s","session":{"name":"%s","state":"%s"}}\n' \
		"$1" "$3" "$2" "$3"
}

# Two snapshots in step; a third and a fourth, which are acknowledged together 2.5 s after the third.
recording() {
	session 10.000 new shop 0 0
	session 11.000 snapshot shop 1 0 256 1500000
	session 11.500 snapshot other 7 6 9999 9000000
	session 11.250 committed shop 1 1
	session 12.000 snapshot shop 2 1 512 250000
	session 12.125 committed shop 2 2
	printf '{"time":"2026-01-02T03:04:12.500Z","object":"peer","event":"outgoing-lost","peer":{"name":"b"}}\n'
	state 13.000 other no-spare
	state 13.000 shop no-spare
	session 14.000 snapshot shop 3 2 1024 500000
	session 15.000 snapshot shop 4 2 0 125000
	session 16.500 committed shop 4 4
	state 16.500 shop protected
	session 17.000 snapshot shop 5 4 256 125000
}
recording >events

# values key field...: of each element of the list
values() {
	"$ctl" plot shop events --json | KEY=$1 FIELDS=$2 python3 -c '
import json, os, sys
for e in json.load(sys.stdin)[os.environ["KEY"]]:
    print(*[e[f] if isinstance(e[f], str) else format(e[f], "g") for f in os.environ["FIELDS"].split()], end="; ")'
}

point 'pauses and pages' "$(values snapshots 'at generation pause_ms mib')" \
	'1 1 1.5 1; 2 2 0.25 2; 4 3 0.5 4; 5 4 0.125 0; 7 5 0.125 1; '
point 'the highest lag' "$(values lag 'seconds at' | tr ';' '\n' | sort -n | tail -n 1 | xargs)" '2.5 6.5'
point 'the lag around an acknowledgement' "$(values lag 'at seconds' | grep -o '2.125 [0-9.]*' | xargs)" '2.125 0.125 2.125 0'
point 'the lag at the end' "$(values lag 'at seconds' | tr ';' '\n' | sed '/^ *$/d' | tail -n 1 | xargs)" '7 0'
point 'marks' "$(values marks 'at event')" '0 new; 3 no-spare; 6.5 protected; '
session 20.000 committed shop 5 4 >>events
point 'control: without its acknowledgement it grows' \
	"$(values lag 'at seconds' | tr ';' '\n' | sed '/^ *$/d' | tail -n 1 | xargs)" '10 3'
recording >events

# A program that is started anew counts from 1.
session 20.000 new shop 0 0 >>events
session 21.000 snapshot shop 1 0 1 1000 >>events
point 'begun anew: the old snapshots are not waited for' "$(values lag 'at seconds' | tr ';' '\n' | sed '/^ *$/d' | tail -n 1 | xargs)" '11 0'
point 'begun anew: its generations are other ones' "$(values snapshots generation)" '1; 2; 3; 4; 5; 1; '
recording >events

"$ctl" plot shop events >picture.svg
point 'the picture is drawn' $? 0
point 'it is SVG' "$(python3 -c '
import sys, xml.etree.ElementTree as t
root = t.parse("picture.svg").getroot()
print(root.tag, sum("polyline" in e.tag or "path" in e.tag for e in root.iter()) > 10)')" \
	'{http://www.w3.org/2000/svg}svg True'
for word in shop 'pause, ms' 'lag, s' 'changed, MiB/s' no-spare protected; do
	point "it says: $word" "$(grep -c "$word" picture.svg | sed 's/[1-9][0-9]*/yes/')" yes
done
point 'the same from a pipe' "$("$ctl" plot shop <events | cmp - picture.svg && echo same)" same

# Whoever recorded was killed within a line.
head -c -20 events >half
point 'half a last line is left out' "$("$ctl" plot shop half --json | grep -c generation)" 4
sed '3s/^/x/' events >broken
point 'another line is an error' "$("$ctl" plot shop broken 2>&1; echo $?)" \
	'cptdevctl: broken, line 3: that isn'\''t a line of monitor --json
Next: cptdevctl monitor --json >FILE
1'
for line in '{}' '[]' '"x"' '{"time":5,"object":"session","event":"new"}' \
	'{"time":"yesterday","object":"session","event":"new","session":{"name":"shop"}}'; do
	{ cat events; echo "$line"; } >broken
	point "nor is it $line" "$("$ctl" plot shop broken 2>&1 | head -n 1)" \
		'cptdevctl: broken, line 15: that isn'\''t a line of monitor --json'
done
# Values that aren't what they should be count as 0.
printf '%s\n' '{"time":"2026-01-02T03:04:18.000Z","object":"session","event":"snapshot","session":{"name":"shop","published":"6","last_pages":{},"last_pause_ns":-1}}' \
	'{"time":"2026-01-02T03:04:18.000Z","object":"session","event":"snapshot","session":[]}' >>events
point 'hostile values do no harm' "$("$ctl" plot shop events --json >/dev/null; echo $?)" 0
recording >events

point 'no such session' "$("$ctl" plot nobody events 2>&1; echo $?)" \
	"cptdevctl: events has no snapshot of a session 'nobody'
Next: cptdevctl status
1"
point 'no such file' "$("$ctl" plot shop nothing 2>&1; echo $?)" \
	"cptdevctl: nothing can't be opened: No such file or directory
1"
point 'a name that could be a command' "$("$ctl" plot "x'; system 'id" events 2>&1 | head -n 1)" \
	'cptdevctl: plot needs the name of a session, and a file that monitor --json wrote'
point 'no name' "$("$ctl" plot >/dev/null 2>&1; echo $?)" 2

mkdir bin
point 'without gnuplot' "$(PATH=$work/bin "$ctl" plot shop events 2>&1; echo $?)" \
	"cptdevctl: gnuplot draws the picture, and isn't there
Next: install gnuplot (Debian's gnuplot-nox), or use --json
1"
printf '#!/bin/sh\necho half\nexit 1\n' >bin/gnuplot
chmod +x bin/gnuplot
point 'gnuplot fails: nothing is written' "$(PATH=$work/bin:$PATH "$ctl" plot shop events 2>/dev/null; echo $?)" 1
points_end
