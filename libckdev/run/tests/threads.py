# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads with a lock, a queue and thread-locals; what is printed is the same each time."""
import hashlib
import queue
import threading
import time

STEPS = 250
lock = threading.Lock()
jobs = queue.Queue(8)
own = threading.local()
total = 0
digests = {}


def work(number):
    """Takes jobs; each is added up under the lock."""
    global total
    own.count = 0
    while True:
        job = jobs.get()
        if job is None:
            break
        digest = hashlib.sha256(str(job).encode() * 2000).hexdigest()
        with lock:
            assert job not in digests, "twice"
            digests[job] = digest
            total += job
            own.count += 1
    with lock:
        digests[-number] = own.count


threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3)]
for t in threads:
    t.start()
for n in range(1, STEPS + 1):
    jobs.put(n)
    time.sleep(0.004)
    if n % 50 == 0:
        print(n, flush=True)
for t in threads:
    jobs.put(None)
for t in threads:
    t.join()
assert sum(digests[-n] for n in (1, 2, 3)) == STEPS, "lost"
print(total, hashlib.sha256("".join(digests[n] for n in range(1, STEPS + 1)).encode()).hexdigest())
