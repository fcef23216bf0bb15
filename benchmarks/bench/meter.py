"""Runs a command and writes what it cost as JSON to FILE: `meter.py FILE OUTPUT COMMAND...`.

A process of its own, and a small one: to Linux the peak memory of whoever calls exec is that of the new program, too
(/bin/true started by a Python of 150 MiB: told as 150 MiB, seen 2026-11-21).
"""

import json
import os
import sys
import time


def main() -> None:
    told, output, *command = sys.argv[1:]
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        shown = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(shown, 1)
        os.dup2(shown, 2)
        os.execvp(command[0], command)  # noqa: S606 - no shell, on purpose
    _, status, usage = os.wait4(child, 0)
    cost = {
        "wall_s": time.monotonic() - begun,
        "controller_cpu_s": usage.ru_utime + usage.ru_stime,
        "controller_peak_mib": usage.ru_maxrss / 1024,
        "code": os.waitstatus_to_exitcode(status),
    }
    with open(told, "w") as file:  # noqa: PTH123 - pathlib would double the size of this process
        json.dump(cost, file)


main()
