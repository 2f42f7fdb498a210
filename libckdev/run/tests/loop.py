# SPDX-License-Identifier: GPL-2.0-or-later
"""An event loop with timers, a queue and threads that wake it up; what is printed is the same each time."""
import asyncio
import hashlib
import time

STEPS = 200


def work(number):
    """In a thread of the pool: its end wakes the loop up, by the loop's socket pair."""
    time.sleep(0.002)
    return hashlib.sha256(str(number).encode() * 1000).hexdigest()


async def produce(jobs):
    """Numbers, one after the other."""
    loop = asyncio.get_running_loop()
    for number in range(STEPS):
        await jobs.put(loop.run_in_executor(None, work, number))
        await asyncio.sleep(0.003)
    await jobs.put(None)


async def consume(jobs):
    """Their digests, in the same order."""
    digest = hashlib.sha256()
    number = 0
    while (job := await jobs.get()) is not None:
        got = await job
        assert got == hashlib.sha256(str(number).encode() * 1000).hexdigest(), number
        digest.update(got.encode())
        number += 1
        if number % 50 == 0:
            print(number, digest.hexdigest(), flush=True)
    assert number == STEPS, number


async def main():
    """Both of them."""
    jobs = asyncio.Queue(8)
    await asyncio.gather(produce(jobs), consume(jobs))


asyncio.run(main())
