# SPDX-License-Identifier: GPL-2.0-only
#
# Prints those lines of a kernel log in which the kernel complains:
#
#	awk -v bad=klog-bad -v harmless=klog-harmless -f klog.awk console
#
# bad has patterns, harmless has whole messages, word for word.

function read_list(file, list,    line, n) {
	while ((getline line < file) > 0)
		if (line != "" && line !~ /^#/)
			list[++n] = line
	close(file)
	return n
}

BEGIN {
	patterns = read_list(bad, pattern)
	n = read_list(harmless, line)
	for (i = 1; i <= n; i++)
		known[line[i]]
}

{
	gsub(/\r/, "")
	text = $0
	# the time, and who said it
	sub(/^\[ *[0-9]+\.[0-9]+\](\[ *[TC][0-9]+\])? /, "", text)
	if (text in known)
		next
	for (i = 1; i <= patterns; i++)
		if (text ~ pattern[i]) {
			print
			next
		}
}
