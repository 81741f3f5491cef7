"""The run loop, itself a kernel: it walks a table of launches, with a barrier between two that need one.

Three parts, each an exported symbol of abi.py's signature; `bind/run.py` names the fields of their blocks.

    loop    one member's walk through the table
    serve   what a waiting thread runs: sleep until a table is handed out, take part in it, until told to stop
    lead    hand a table to the team, and take part as member 0

A barrier counts arrivals; it spins briefly, then yields: 0.1 µs on a quiet machine, and still fair on a busy one.
"""

from __future__ import annotations

from collections.abc import Callable

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.bind import run as fields
from graphopt_kernels.cpu.atomics import (
    atomic_add,
    atomic_load,
    atomic_store,
    call_kernel,
    cycles,
    libc,
    pause_of,
    take_one,
)
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.words import word_at
from graphopt_kernels.targets import Target

ROW, ALONE = fields.ROW, fields.ALONE
TABLE, COUNT, BARRIER, STAMPS = fields.TABLE, fields.COUNT, fields.BARRIER, fields.STAMPS
JOB, TICKET, STOP, SLEEPERS, SEMAPHORE = fields.JOB, fields.TICKET, fields.STOP, fields.SLEEPERS, fields.SEMAPHORE
SPINS_BEFORE_YIELD = 2000
SPINS_BEFORE_SLEEP = 20000


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The part of the run loop that `spec["part"]` names."""
    pause = pause_of(target.machine)
    sched_yield, sem_wait, sem_post = libc("sched_yield", 0), libc("sem_wait", 1), libc("sem_post", 1)

    @device
    def meet(barrier: int, team: int) -> None:
        generation = atomic_load(barrier + 64)
        if atomic_add(barrier, 1) == team - 1:
            atomic_store(barrier, 0)
            atomic_add(barrier + 64, 1)
            return
        spins = 0
        while atomic_load(barrier + 64) == generation:
            spins += 1
            if spins > SPINS_BEFORE_YIELD:
                sched_yield(())
            else:
                pause()

    @device
    def walk(block: int, member: int, team: int) -> None:
        table, count = word_at(block, TABLE), word_at(block, COUNT)
        barrier, stamps = word_at(block, BARRIER), word_at(block, STAMPS)
        for i in range(count):
            row = table + i * (8 * ROW)
            alone = word_at(row, 2) & ALONE
            if stamps != 0 and member == 0:
                atomic_store(stamps + 8 * i, cycles())
            if alone == 0:
                call_kernel(word_at(row, 0), word_at(row, 1), member, team)
            elif member == 0:
                call_kernel(word_at(row, 0), word_at(row, 1), 0, 1)
            if team > 1 and (alone == 0 or i + 1 == count or word_at(row + 8 * ROW, 2) & ALONE == 0):
                meet(barrier, team)
        if stamps != 0 and member == 0:
            atomic_store(stamps + 8 * count, cycles())

    def loop(block: int, member: int, team: int) -> None:
        walk(block, member, team)

    @device
    def sleep_until_other_than(seen: int, block: int) -> None:
        atomic_add(block + 8 * SLEEPERS, 1)
        # look again: the leader hands out work and then looks for sleepers, so one of the two sees the other
        if atomic_load(block + 8 * TICKET) != seen and take_one(block + 8 * SLEEPERS) == 1:
            return
        sem_wait((block + 8 * SEMAPHORE,))

    def serve(block: int, member: int, team: int) -> None:
        seen = 0
        while True:
            spins = 0
            while atomic_load(block + 8 * TICKET) == seen:
                spins += 1
                if spins < SPINS_BEFORE_SLEEP:
                    pause()
                else:
                    sleep_until_other_than(seen, block)
            seen += 1
            if atomic_load(block + 8 * STOP) != 0:
                return
            walk(atomic_load(block + 8 * JOB), member, team)

    def lead(block: int, member: int, team: int) -> None:
        atomic_add(block + 8 * TICKET, 1)
        while take_one(block + 8 * SLEEPERS) == 1:
            sem_post((block + 8 * SEMAPHORE,))
        if atomic_load(block + 8 * STOP) == 0:
            walk(atomic_load(block + 8 * JOB), 0, team)

    return {"loop": loop, "serve": serve, "lead": lead}[spec["part"]]
