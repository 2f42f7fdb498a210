#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two hosts with the same processor, which isn't x86-64: checkpoints of one are on the other, byte for
# byte, and it is promoted when the first is lost. With different processors both refuse each other, say
# so, and nothing is sent. TAP.

# shellcheck source=selftests/twohost/hosts.sh
. "$(dirname "$0")/hosts.sh"

# Emulated, and each guest has its own emulator.
timeout_ms=10000

# The words of the message.
machine() { # kernel
	local machine
	machine=$(kernel_arch "$1")
	printf '%s\n' "${machine/_/-}"
}

test_same() {
	app_start 1
	t 'checkpoints are acknowledged' until_true acked_since 3
	t 'the replica is right' replica_right
	t 'control: it is not the generation before' not same_as_generation $((generation - 1))
	t 'it goes on' goes_on
	vm_kill a
	t 'host lost: a counts as dead' until_true status_is b detector dead
	t 'promoted by hand' vm_run b 'cptdevctl promote kv >/dev/null'
	t 'the replica is right, and nothing acknowledged is lost' replica_right
	t 'it is promoted' [ "$term $promoted" = '2 1' ]
	t 'it is removed' until_true vm_run b 'cptdevctl replica remove --force kv >/dev/null'
}

test_different() {
	local of_a of_b
	of_a=$(machine "$KERNEL") of_b=$(machine "$KERNEL_B")
	app_start 1
	t 'a refuses b' until_true daemon_said a "peer is a machine of $of_b, this node of $of_a"
	t 'b refuses a' until_true daemon_said b "peer is a machine of $of_a, this node of $of_b"
	t 'the program goes on' until_true published_since 10
	t 'nothing is acknowledged' not app_said acked
	t 'there is no link' status_is a spares 0
	t 'and no replica' [ -z "$(replica generation)" ]
	app_kill
	t 'a stops in order' vm_stop a
}

main() {
	begin
	daemon_start b
	daemon_start a
	if [ "$(kernel_arch "$KERNEL")" = "$(kernel_arch "$KERNEL_B")" ]; then
		test_same
	else
		test_different
	fi
	t 'b stops in order' vm_stop b
	printf '1..%d\n' "$points"
}

main
