"""The blocks of the run loop (`cpu/run.py`): its table of launches, and the mailbox of a team of threads."""

from __future__ import annotations

from graphopt_kernels.abi import KernelSpec

LOOP = KernelSpec.of("run", part="loop")
SERVE = KernelSpec.of("run", part="serve")
LEAD = KernelSpec.of("run", part="lead")
SPECS = (LOOP, SERVE, LEAD)
"""Every bundle holds these beside its kernels."""

ROW = 3
"""int64 words of one launch in a table: the kernel's address, its block's address, flags."""
ALONE = 1
"""A flag: member 0 makes this call by itself, as a team of one."""

TABLE, COUNT, BARRIER, STAMPS = range(4)
"""Fields of a job: the table, its number of launches, 16 words of barrier (zero before the first run), and where to
write COUNT + 1 cycle counts (0: nowhere)."""
JOB_WORDS = 4
BARRIER_WORDS = 16

JOB, TICKET, STOP, SLEEPERS, SEMAPHORE = 0, 8, 16, 24, 32
"""Fields of a mailbox, a cache line apart: the address of the job, how many were handed out, whether to stop, how many
threads sleep, and the semaphore they sleep on."""
MAILBOX_WORDS = 48
