# SPDX-License-Identifier: GPL-2.0-or-later
# The shells' completion of cptdevctl: the words that a person is offered. TAP.

ctl=$BIN/cptdevctl
. "$TOP/daemon/tests/shell/point.sh"

# offered word...: for what bash completes, with the last word as far as it is typed
offered() {
	bash -eu -c '
		script=$1
		shift
		cptdevctl() {
			[ "$1" = metrics ] || return
			printf "%s\n" \
				"cptdev_session_term{session=\"kv\",id=\"3\"} 1" \
				"cptdev_session_term{session=\"\",id=\"4\"} 1" \
				"cptdev_replica_term{replica=\"web\"} 1" \
				"cptdev_peer_link_up{peer=\"beta\",direction=\"outgoing\"} 1"
		}
		eval "$script"
		COMP_WORDS=(cptdevctl "$@")
		COMP_CWORD=$#
		_cptdevctl
		printf "%s\n" "${COMPREPLY[*]}"' bash "$("$ctl" completion bash)" "$@"
}

point 'a verb' "$(offered sw)" switchover
point 'all verbs' "$(offered '' | tr ' ' '\n' | sort | tr '\n' ' ')" \
	"$("$ctl" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | sort | tr '\n' ' ')"
point 'names of sessions and replicas' "$(offered promote '')" 'kv web'
point 'a name that is begun' "$(offered switchover k)" kv
point 'the second word of a verb' "$(offered replica r)" remove
point 'after an option with a value' "$(offered --timeout 5 wait '')" 'kv web'
point 'a number is nothing to complete' "$(offered --timeout '')" ''
point 'an option' "$(offered status --ch)" --check
point 'every option' "$(offered status -- | tr ' ' '\n' | sort | tr '\n' ' ')" \
	"$("$ctl" --help | grep -o -- '^  -[a-zA-Z], --[a-z]*' | sed 's/.* //' | sort | tr '\n' ' ')"
point 'a file' "$(offered inspect /etc/debian_vers)" /etc/debian_version
point 'no name where none belongs' "$(offered version '')" ''
"$ctl" completion zsh >"$BIN/completion.zsh"
point 'zsh reads its script' "$(zsh -n "$BIN/completion.zsh" 2>&1 && echo yes)" yes
# Without completion's own functions, as the shell calls them: what the script would offer.
point 'zsh: names' "$(zsh -f -c '
	cptdevctl() { print "cptdev_replica_term{replica=\"web\"} 1" }
	_arguments() { state=argument }
	compadd() { shift; print "$@" }
	words=(promote "")
	source "$1"' zsh "$BIN/completion.zsh")" web
point 'an unknown shell' "$("$ctl" completion tcsh 2>&1; echo $?)" \
	"cptdevctl: completion needs the name of a shell: bash or zsh
Next: cptdevctl completion bash
2"
points_end
