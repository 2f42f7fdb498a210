#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Swap torture on hosts that lose their disks with their power. A supervisor starts the program anew as
# the spare.

# shellcheck source=selftests/twohost/database.sh
. "$(dirname "$0")/database.sh"
# shellcheck source=selftests/twohost/swapping.sh
. "$(dirname "$0")/swapping.sh"

# shellcheck disable=SC2034 # swapping.sh uses it
SWAPS=${SWAPS:-$([ "${CPTDEV_TIER:-}" != all ] && echo 10 || echo 100)}
main
