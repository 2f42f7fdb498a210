# SPDX-License-Identifier: LGPL-2.1-or-later
"""multiprocessing with fork: each process has numbers of its own, and sends them on by pipes."""
import hashlib
import multiprocessing
import os
import time

WORKERS = 3
ROUNDS = 1000


def work(number, tasks, results):
    """Each answer depends on everything that this process has done before."""
    own = os.getpid(), os.getppid()
    sums = [b"%d" % number]
    for i in iter(tasks.recv, None):
        sums.append(hashlib.sha256(sums[-1] + b"%d" % i + sums[i * 7919 % len(sums)]).digest())
        results.send((number, i, sums[-1]))
    results.send((number, own == (os.getpid(), os.getppid()), b"".join(sums)))


def main():
    context = multiprocessing.get_context("fork")
    workers = []
    lines = []
    for number in range(WORKERS):
        task, result = context.Pipe(duplex=False), context.Pipe(duplex=False)
        process = context.Process(target=work, args=(number, task[0], result[1]))
        process.start()
        workers.append((process, task[1], result[0]))
    for i in range(ROUNDS):
        for _, task, _ in workers:
            task.send(i)
        for _, _, result in workers:
            number, j, digest = result.recv()
            lines.append(f"{number} {j} {digest.hex()}")
        time.sleep(0.002)
    for process, task, result in workers:
        task.send(None)
        number, same, sums = result.recv()
        process.join()
        lines.append(f"{number} {same} {hashlib.sha256(sums).hexdigest()} {process.exitcode}")
    print("\n".join(lines))


main()
