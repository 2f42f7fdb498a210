#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# cptdev-run.sh: programs as they are, as the test runs on the host, on this kernel: how it tells what was
# written to, and what it tells of descriptors, differs.

dir=$(dirname "$0")
exec "$dir/move.sh" "$dir" ledger static
