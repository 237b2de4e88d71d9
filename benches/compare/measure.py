"""Wall time, CPU time and peak memory of processes, and of pairs of them.

Only the standard library: a process that is started inherits its parent's peak
memory, so the parent has to stay small.
"""

import os
import statistics
import subprocess
import sys
import time


class Figures(dict):
    """`wall` and `cpu` in seconds, `peak` in MiB."""

    def __str__(self):
        return f"{self['wall']:8.2f} s {self['cpu']:8.2f} s {self['peak']:7.0f} MiB"


def measure(command, directory, environment=None):
    """Runs a command to its end; one that fails ends everything.

    What the one before left to be written is on disk by then: who syncs would
    wait for it.
    """
    os.sync()
    begin = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], cwd=directory, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = status
    if status != 0:
        sys.exit(f"`{' '.join(map(str, command[:3]))}` failed with status {status}")
    return Figures(wall=round(wall, 3), cpu=round(usage.ru_utime + usage.ru_stime, 3), peak=round(usage.ru_maxrss / 1024, 1))


def median(figures):
    """The median of each figure by itself."""
    figures = list(figures)
    return Figures({name: statistics.median(one[name] for one in figures) for name in ("wall", "cpu", "peak")})


def ratios(rounds, ours, theirs):
    """How many times as long it took, round by round: median, smallest, largest."""
    found = sorted(one[theirs]["wall"] / one[ours]["wall"] for one in rounds)
    return statistics.median(found), found[0], found[-1]
