#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Messages that others can cause go through tell(): who calls the log directly is listed here,
# with the reason why nobody else can make it happen again and again. TOP is set by the
# Makefile.

cd "$TOP/daemon" || exit 1

# Whole files: the start, the end, the configuration, which are a person's doing.
files='log.c main.c listen.c ctl.c reload.c files.c node.c hold.c'

# Single calls, as "file text": a promotion and its command, of which each replica has one;
# the fence command, of which each death of the peer has one, with some lines of output;
# the start; a person's SIGHUP, with the files of the keys, or command; the end of a private daemon's program; a
# replica that is lost with the memory for it; what is kept for a restart, which ends with that for a session.
calls="failover.c can't run
failover.c running
failover.c (pid %d) is done
failover.c (pid %d) failed with exit status
failover.c (pid %d) was killed by signal
fence_command.c fence command
failover.c promoted %s: generation
known.c can't listen to the kernel
unix_bind.c created the directory
soft_stage.c a page could not be written
soft_keep.c isn't kept on this host for a restart
soft_keep.c is given up: there is no room for another one
ctl_client.c promoted %s by user
ctl_client.c the record of %s was given up
ctl_client.c goes on alone by word of user
ctl_client.c a checkpoint of %s was asked for
ctl_client.c the switch-over of %s was cancelled
ctl_client.c is acknowledged by policy
ctl_client.c by word of user
ctl_hold.c are held off for at most
ctl_hold.c are held off no longer
peer.c no memory for the peer
private.c the program has ended
records.c can't be used
records.c this host was restarted
records.c can't read the records
out.c spares any more, by the configuration
moved.c stays until it is lost
moved.c is left: the configuration
daemon.c [peer] psk_file
daemon.c [peer] pki_dir"

unlisted() {
	grep -nE 'log_(err|warn|notice|info|write|about|person|promoted)\(' common/*.c engine/*.c link/*.c rules/*.c \
		hold/*.c flow/*.c cptdevd/*.c | sed 's,^[a-z]*/,,' |
		while IFS= read -r line; do
			file=${line%%:*}
			case " $files " in
			*" $file "*) continue ;;
			esac
			[ "$file" != tell.c ] || continue
			printf '%s\n' "$calls" | while IFS= read -r call; do
				[ "${call%% *}" = "$file" ] || continue
				case $line in
				*"${call#* }"*) echo yes ;;
				esac
			done | grep -q yes || printf '%s\n' "$line"
		done
}

found=$(unlisted)
if [ -z "$found" ]; then
	echo "ok 1 - messages that others can cause go through tell()"
else
	echo "not ok 1 - messages that others can cause go through tell()"
	printf '%s\n' "$found" | sed 's/^/# /'
fi
echo "1..1"
