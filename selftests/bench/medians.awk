# SPDX-License-Identifier: GPL-2.0-only
#
# Figures, a line of JSON each, of lines "name unit value", sorted by name and value: sort -k 1,1 -k 3,3n.
# kernel= is the kernel's name.

function tell() {
	if (n)
		printf "{\"name\":\"%s\",\"kernel\":\"%s\",\"value\":%s,\"unit\":\"%s\",\"n\":%d,\"min\":%s,\"max\":%s}\n",
			name, kernel, v[int(n / 2) + 1], unit, n, v[1], v[n]
	n = 0
}

$1 != name { tell(); name = $1; unit = $2 }
{ v[++n] = $3 }
END { tell() }
