"""Servers whose clock is wrong: a small library, compiled here, answers in the place of the system's clock."""

import subprocess
from pathlib import Path
from typing import Final

from tests.needs import needs

#: Only the time of day is wrong: time-outs of the server itself are not.
SOURCE: Final = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void now(struct timespec *found) {
    static long ahead_ms;
    static int is_known;
    if (!is_known) {
        const char *text = getenv("CLOCK_AHEAD_MS");
        ahead_ms = text ? atol(text) : 0;
        is_known = 1;
    }
    syscall(SYS_clock_gettime, CLOCK_REALTIME, found);
    long long ns = found->tv_sec * 1000000000LL + found->tv_nsec + ahead_ms * 1000000LL;
    found->tv_sec = ns / 1000000000LL;
    found->tv_nsec = ns % 1000000000LL;
}

int gettimeofday(struct timeval *found, void *zone) {
    struct timespec moment;
    (void)zone;
    now(&moment);
    found->tv_sec = moment.tv_sec;
    found->tv_usec = moment.tv_nsec / 1000;
    return 0;
}

int clock_gettime(clockid_t id, struct timespec *found) {
    if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE) return syscall(SYS_clock_gettime, id, found);
    now(found);
    return 0;
}

time_t time(time_t *found) {
    struct timespec moment;
    now(&moment);
    if (found) *found = moment.tv_sec;
    return moment.tv_sec;
}
"""


def program_with_clock(folder: Path, program: Path, ahead_ms: int) -> Path:
    """A program that is this one with its clock so much ahead (behind, if negative)."""
    library = folder / "clock.so"
    if not library.exists():
        source = folder / "clock.c"
        source.write_text(SOURCE)
        words = [needs("cc"), "-shared", "-fPIC", "-O1", "-o", str(library), str(source)]
        subprocess.run(words, check=True, capture_output=True)
    script = folder / f"{program.name}{ahead_ms:+}"
    script.write_text(f'#!/bin/sh\nCLOCK_AHEAD_MS={ahead_ms} LD_PRELOAD={library} exec {program} "$@"\n')
    script.chmod(0o755)
    return script
