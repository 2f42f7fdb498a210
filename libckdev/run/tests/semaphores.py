# SPDX-License-Identifier: LGPL-2.1-or-later
"""multiprocessing.Pool: its semaphores are files of /dev/shm that have lost their names."""
import hashlib
import multiprocessing
import time

TASKS = 600


def work(number):
    """Known from the number alone, whichever process does it."""
    time.sleep(0.005)
    digest = b"%d" % number
    for _ in range(2000):
        digest = hashlib.sha256(digest).digest()
    return number, digest.hex()


def main():
    context = multiprocessing.get_context("fork")
    lock = context.BoundedSemaphore(2)
    lines = []
    with context.Pool(3) as pool:
        for number, digest in pool.imap(work, range(TASKS), chunksize=2):
            with lock:
                lines.append(f"{number} {digest}")
        pool.close()
        pool.join()
    print("\n".join(lines))


main()
