"""A process that does once what all notebooks begin with, and forks into a kernel whenever it is asked to.

`python -P -m workbook.report.warm STATEMENT ...` executes these lines of Python, then reads requests from its input, a
line of JSON each, and answers with the number of the process that it forked. It ends with its input, or with a signal.
"""

import json
import os
import runpy
import signal
import sys
from contextlib import suppress
from importlib import import_module

KERNEL = "ipykernel.kernelapp"


def main() -> None:
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # a kernel reads it as it is imported, and ends with us
    try:
        import_module(KERNEL)
        names: dict[str, object] = {}
        for statement in sys.argv[1:]:
            with suppress(Exception):  # the notebook that does the same tells what is wrong
                exec(statement, names)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # kernels that run are put in order by whoever asked for them
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: who asked for a kernel watches it
    _become(json.loads(_request()))


def _request() -> str:
    """The next request, in the process that is to be what it asks for."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a kernel's libraries print is no answer
        for request in sys.stdin:
            process = os.fork()
            if not process:
                return request
            with suppress(OSError):  # here as well as there: whoever comes first
                os.setpgid(process, process)
            print(process, file=answers, flush=True)
    sys.exit()


def _become(request: dict) -> None:
    """`python -m MODULE ARGUMENT ...` in a folder and an environment of its own, as the leader of a process group."""
    with suppress(OSError):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # else all kernels go on from the one state that was imported
    sys.argv[1:] = request["arguments"]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
