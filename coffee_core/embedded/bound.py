"""Run by path, not imported: ties this process to the life of its parent, drops privileges, becomes the program.

    python -I -S bound.py PARENT_PID DEATH_SIGNAL UID:GID|- CWD PROGRAM [ARGUMENT...]

A program of its own because the alternative, `preexec_fn`, runs Python between fork and exec in a process with threads,
where any lock may be held for ever. It imports the standard library alone, so that `-S` may skip site-packages.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never returns: becomes the program, or exits 127 with a sentence."""
    parent, death_signal, owner, folder, *argv = arguments
    try:
        os.chdir(folder)
        if owner != "-":
            uid, gid = map(int, owner.split(":"))
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        # After setuid, which clears it (prctl(2)); kept over execve.
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != int(parent):  # it died before prctl: no signal will come
            sys.exit(0)
        os.umask(0o077)
        os.execv(argv[0], argv)  # noqa: S606 - no shell is what is wanted
    except OSError as error:
        sys.stderr.write(f"cannot run {argv[0]}: {error}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
