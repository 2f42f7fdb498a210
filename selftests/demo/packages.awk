# SPDX-License-Identifier: GPL-2.0-only
#
# Debian's package index (apt-cache dumpavail) as transactions, a line each, for several
# clients: -v clients=N -v dir=DIRECTORY makes DIRECTORY/1 to DIRECTORY/N. A package is its
# client's for good (package.part), and so are the updates: so it doesn't matter in what order
# clients get on. -v most=N: no more packages than that.

function quoted(text) {
	gsub(/'/, "''", text)
	return "'" text "'"
}

function file(part) {
	return dir "/" part
}

# One transaction with what has gathered of a part, and every second time an update of
# some of what it has by then.
function flush(part,    text, at) {
	if (!rows[part])
		return
	text = "insert into package values " packages[part]
	if (depends[part] != "")
		text = text "; insert into depends values " depends[part]
	print text > file(part)
	rows[part] = 0
	packages[part] = depends[part] = ""
	if (++flushed[part] % 2)
		return
	at = flushed[part] * 7919 % count
	printf "update package set touched = touched + %d where part = %d and id between %d and %d\n",
		1 + flushed[part] % 5, part, at, at + 399 > file(part)
}

function add_depends(part, id, text,    n, list, i, m, either, j) {
	n = split(text, list, /, */)
	for (i = 1; i <= n; i++) {
		m = split(list[i], either, / *\| */)
		for (j = 1; j <= m; j++) {
			sub(/[ (:].*/, "", either[j])
			depends[part] = depends[part] (depends[part] == "" ? "" : ",") \
				"(" id "," i "," j "," quoted(either[j]) ")"
		}
	}
}

function add(    part) {
	if (name == "" || name in seen || (most && count >= most))
		return
	seen[name]
	part = 1 + count++ % clients
	packages[part] = packages[part] (rows[part]++ ? "," : "") "(" count "," part "," \
		quoted(name) "," quoted(version) "," quoted(section) "," quoted(priority) "," \
		size + 0 "," installed + 0 "," quoted(text) ",0)"
	if (needs != "")
		add_depends(part, count, needs)
	if (rows[part] == 40)
		flush(part)
}

/^Package: /		{ name = $2; version = section = priority = text = needs = ""; size = installed = 0 }
/^Version: /		{ version = $2 }
/^Section: /		{ section = $2 }
/^Priority: /		{ priority = $2 }
/^Size: /		{ size = $2 }
/^Installed-Size: /	{ installed = $2 }
/^Description: /	{ text = substr($0, 14) }
/^Depends: /		{ needs = substr($0, 10) }
/^$/			{ add(); name = "" }

END {
	add()
	for (part = 1; part <= clients; part++)
		flush(part)
	print count
}
