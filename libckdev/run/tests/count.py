# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts, and appends each number to the file that is named: which state it continues from can be seen there"""
import sys
import time

number = 0
with open(sys.argv[1], "a", buffering=1, encoding="ascii") as numbers:
    while True:
        number += 1
        print(number, file=numbers)
        time.sleep(0.002)
