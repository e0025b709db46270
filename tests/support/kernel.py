"""A kernel that refuses: a library before the C library, for limits and mounts that a test cannot really have.

The limits of inotify hold for all of a user's processes, and a network file system needs a network; so the runner under
test is started with a library (LD_PRELOAD, ld.so(8)) that answers inotify_init1, inotify_add_watch and the opening of
the mount table in the kernel's stead. The runner itself is the same to the last byte. Start at refusing.
"""

import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static int used_instances, used_watches;

static int refused(const char *name, int *used, int error)
{
    const char *limit = getenv(name);
    if (!limit || ++*used <= atoi(limit))
        return 0;
    errno = error;
    return 1;
}

int inotify_init1(int flags)
{
    if (refused("KERNEL_INSTANCES", &used_instances, EMFILE))
        return -1;
    return ((int (*)(int))dlsym(RTLD_NEXT, "inotify_init1"))(flags);
}

int inotify_add_watch(int queue, const char *path, uint32_t mask)
{
    if (refused("KERNEL_WATCHES", &used_watches, ENOSPC))
        return -1;
    return ((int (*)(int, const char *, uint32_t))dlsym(RTLD_NEXT, "inotify_add_watch"))(queue, path, mask);
}

static int open_as(const char *name, const char *path, int flags, mode_t mode)
{
    const char *mounts = getenv("KERNEL_MOUNTS");
    if (mounts && !strcmp(path, "/proc/self/mountinfo"))
        path = mounts;
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name))(path, flags, mode);
}

#define OPEN(name)                                       \
    int name(const char *path, int flags, ...)           \
    {                                                    \
        va_list rest;                                    \
        va_start(rest, flags);                           \
        mode_t mode = va_arg(rest, int);                 \
        va_end(rest);                                    \
        return open_as(#name, path, flags, mode);        \
    }
OPEN(open)
OPEN(open64)
"""


def refusing(
    *, instances: int | None = None, watches: int | None = None, mounts: Mapping[Path, str] | None = None
) -> dict[str, str]:
    """The environment of a process that gets so many inotify instances and watches, and sees these mounts besides."""
    environment = {"LD_PRELOAD": str(_library())}
    if instances is not None:
        environment["KERNEL_INSTANCES"] = str(instances)
    if watches is not None:
        environment["KERNEL_WATCHES"] = str(watches)
    if mounts:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        table += "".join(f"999 1 0:99 / {point} rw - {kind} server:/ rw\n" for point, kind in mounts.items())
        environment["KERNEL_MOUNTS"] = str(next(iter(mounts)).parent / "mountinfo")
        Path(environment["KERNEL_MOUNTS"]).write_text(table, encoding="utf-8")
    return environment


@cache
def _library() -> Path:
    """Compiled once for each run of the tests, which need a C compiler anyway."""
    library = Path(mkdtemp(prefix="r-kernel-")) / "kernel.so"
    command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-Wall", "-x", "c", "-", "-o", str(library), "-ldl"]
    subprocess.run(command, input=SOURCE, text=True, check=True)
    return library
