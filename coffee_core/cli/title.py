"""What `ps` shows of a process that was forked and not executed."""

import ctypes
from pathlib import Path

PR_SET_NAME = 15


def set_title(title: str) -> None:
    """Put `title` where the kernel reads the arguments of this process, cut to their length, and into its short name.

    Linux alone. A forked process would otherwise be shown with the arguments of the one that it was copied from.
    """
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])  # arg_start and arg_end: proc(5) numbers them 48 and 49
    room = end - begin
    if room > 1:
        ctypes.memmove(begin, title.encode()[: room - 1].ljust(room, b"\0"), room)
    ctypes.CDLL(None).prctl(PR_SET_NAME, title.replace(" ", "-").encode(), 0, 0, 0)
