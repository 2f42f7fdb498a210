# SPDX-License-Identifier: GPL-2.0-only
#
# Pictures of what one kernel did, for "show", which sets
#
#	kernel		its name
#	dir		where the data lie, <picture>-<kernel>.tsv, and the pictures go
#	methods		columns of the data that it has, from 1 as in method[] below

set datafile separator "\t"
set datafile missing "-"
set terminal svg size 960,600 font "sans-serif,15" background "white" noenhanced
set border 3
set tics nomirror
set grid ytics lt 1 lc rgb "#dddddd"
set key outside right center Left reverse samplen 3 spacing 1.3
set bmargin 5.5
set label 1 "counted instructions at 2 ns each, no bare metal" at screen 0.985,0.035 right \
	font "sans-serif,12" textcolor rgb "#555555"

array method[6] = ["cptdev SNAPSHOT", "fork()", "PAGEMAP_SCAN + copy", \
	"userfaultfd-wp + copy", "SIGSEGV + copy", "soft-dirty + copy"]
# the same in each picture, and told apart without colours too
set style line 1 lc rgb "#0072b2" lw 3 pt 7 ps 0.9
set style line 2 lc rgb "#d55e00" lw 2 pt 5 ps 0.8
set style line 3 lc rgb "#009e73" lw 2 pt 9 ps 1.0
set style line 4 lc rgb "#cc79a7" lw 2 pt 11 ps 1.0
set style line 5 lc rgb "#8a6d00" lw 2 pt 13 ps 1.1
set style line 6 lc rgb "#555555" lw 2 pt 4 ps 0.9
set style line 7 lc rgb "#e0a800" lw 2 pt 8 ps 1.0

data(name) = dir."/".name."-".kernel.".tsv"
picture(name) = dir."/".name."-".kernel.".svg"
head(text) = text.", Linux ".kernel

# microseconds, from a tenth of one to seconds
set logscale y
set ytics ("0.1 us" 0.1, "1 us" 1, "10 us" 10, "100 us" 100, "1 ms" 1e3, "10 ms" 1e4, \
	"100 ms" 1e5, "1 s" 1e6)

set output picture("pause-size")
set title head("How long a program stands still, 1 % of its memory changed")
set xlabel "memory, MiB"
set logscale x 2
set xtics (64, 128, 256, 512, 1024)
set xrange [56:1180]
plot for [m in methods] data("pause-size") using 1:(column(m + 1)) with linespoints ls (m + 0) \
	title method[m + 0]
unset logscale x

set xlabel "changed, % of 256 MiB"
set xtics ("0" 0, "1" 1, "10" 2, "100" 3)
set xrange [-0.15:3.15]
set output picture("pause-share")
set title head("How long a program stands still, 256 MiB")
plot for [m in methods] data("pause-share") using 0:(column(m + 1)) with linespoints ls (m + 0) \
	title method[m + 0]

set output picture("epoch-share")
set title head("Standing still, and all first writes since, 256 MiB")
plot for [m in methods] data("epoch-share") using 0:(column(m + 1)) with linespoints ls (m + 0) \
	title method[m + 0]

set output picture("pause-vmas")
set title head("How long a program stands still, 256 MiB in many VMAs, 1 % changed")
set xlabel "VMAs"
set logscale x
set xtics (1, 100, 1000, 10000)
set xrange [0.8:13000]
plot data("pause-vmas") using 1:2 with linespoints ls 1 title method[1], \
	"" using 1:3 with linespoints ls 2 title method[2]
unset logscale x

# What others measured
unset logscale y
set ytics auto
set yrange [0:*]
set format y "%g"
set ylabel "microseconds"

set output picture("kantee-6-1")
set title head("Checkpoint and memory size, a tenth changed (Kantee, figure 6-1)")
set xlabel "memory, KiB"
set xtics 1024
set xrange [0:8600]
plot data("kantee-6-1") using 1:2 with linespoints ls 1 title "SNAPSHOT (cptfork)", \
	"" using 1:3 with linespoints ls 2 title "fork()", \
	"" using 1:4 with linespoints ls 6 title "fork(), wired memory", \
	"" using 1:5 with linespoints ls 7 title "SCAN, and a local pipe"

set output picture("kantee-6-2")
set title head("Checkpoint and changed pages, 4 MiB (Kantee, figure 6-2)")
set xlabel "changed, %"
set xtics 10
set xrange [0:100]
plot data("kantee-6-2") using 1:2 with linespoints ls 1 title "SNAPSHOT (cptfork)", \
	"" using 1:3 with linespoints ls 2 title "fork()"

set output picture("hitachi")
set title head("Finding what changed, for each MiB of memory (Hitachi)")
unset xlabel
unset key
set xtics auto rotate by 20 right
set logscale y
set yrange [0.5:20000]
set ylabel "microseconds per MiB"
set style fill solid 0.85
set boxwidth 0.6
set xrange [*:*]
set bmargin 8
plot data("hitachi") using 0:2:($3):xtic(1) with boxes lc rgb variable, \
	"" using 0:2:(sprintf($2 < 100 ? "%.3g" : "%.0f", $2)) with labels offset 0,0.7
