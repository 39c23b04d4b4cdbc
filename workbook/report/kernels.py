"""Kernels that run side by side, each with an environment of its own, and are stopped together."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import papermill
import psutil
import zmq
from jupyter_client import AsyncKernelManager
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from traitlets.config import Config

# Nobody else on the machine reads what goes between a kernel and us; without, each kernel warns of it.
_ENCRYPTION = {"transport_encryption": "auto"} if zmq.has("curve") else {}
_LOG = logging.getLogger("papermill")
_LOG.setLevel(logging.CRITICAL)  # failures are told in our words
_ENGINE = "workbook"
_FORKS = sys.platform == "linux"  # elsewhere libraries that were imported may not survive a fork
_PATIENCE = 5  # seconds that an interrupted kernel gets to put its things in order
_ENDING = 30.0  # seconds that one may take to end by itself, with a cluster's workers to send home; half, then signals
_START = 120  # seconds that a kernel may take to start: several start at once


class Kernels:
    """The kernels that run now. `execute` is called from several threads, `stop` from the one that waits for them.

    environment: what all have, and their libraries see when they are imported. statements: lines of Python that most of
    them would begin with; none may compute in parallel, since OpenMP's threads do not survive a fork.
    """

    def __init__(self, environment: Mapping[str, str], statements: Iterable[str]) -> None:
        self._clients: set[PapermillNotebookClient] = set()
        self._environment = dict(environment)
        self._warm = _Warm(self._environment, statements) if _FORKS else None
        self.stopped = threading.Event()

    def execute(
        self,
        notebook: Path,
        executed: Path,
        parameters: Mapping[str, Any],
        *,
        environment: Mapping[str, str],
        on_cell_start: Callable[[NotebookNode, int], None],
    ) -> None:
        """Run the notebook in its own folder with `environment` added, and write what becomes of it to `executed`.

        Raises PapermillExecutionError where a cell fails, and what jupyter_client does where a kernel dies.
        """
        papermill.execute_notebook(
            notebook,
            executed,
            dict(parameters),
            engine_name=_ENGINE,
            kernel_name="python3",
            language="python",  # of a notebook that does not say it: VS Code's, or a stripped one
            progress_bar=False,
            kernels=self,
            warm=self._warm,
            environment=self._environment | dict(environment),
            folder=notebook.parent,
            connection=executed.with_name("kernel.json"),
            on_cell_start=on_cell_start,
        )

    @contextmanager
    def running(self, client: PapermillNotebookClient) -> Iterator[None]:
        if self.stopped.is_set():
            raise RuntimeError("stopped before its kernel was started")
        self._clients.add(client)
        try:
            yield
        finally:
            self._clients.discard(client)

    def stop(self, executions: set[Future]) -> None:
        """Interrupt every kernel, so that what it was doing is put in order; kill those that do not listen.

        Returns when the executions have ended; another interrupt meanwhile kills at once.
        """
        self.stopped.set()
        if self._warm:
            self._warm.interrupt()
        seconds = 0
        while executions := {execution for execution in executions if not execution.done()}:
            try:
                # again every second: a kernel between two cells ignores an interrupt, and one may just be starting
                self._signal(signal.SIGINT if seconds < _PATIENCE else signal.SIGKILL)
                wait(executions, timeout=1)
                seconds += 1
            except KeyboardInterrupt:
                seconds = _PATIENCE

    def close(self) -> None:
        if self._warm:
            self._warm.close()

    def _signal(self, number: signal.Signals) -> None:
        for client in list(self._clients):
            process = getattr(getattr(client.km, "provisioner", None), "pid", None)
            if process:
                with suppress(ProcessLookupError):
                    os.killpg(process, number)  # a kernel leads a group: its workers and what it started


class _Warm:
    """The process that kernels are forked from, seen from here."""

    def __init__(self, environment: Mapping[str, str], statements: Iterable[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "workbook.report.warm", *statements],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt at the keyboard is not for it
        )
        self._one_at_a_time = threading.Lock()

    def fork(self, module: str, arguments: list[str], environment: Mapping[str, str], folder: str) -> "_Forked":
        request = {"module": module, "arguments": arguments, "environment": dict(environment), "folder": folder}
        assert self._process.stdin and self._process.stdout
        with self._one_at_a_time, suppress(BrokenPipeError):
            print(json.dumps(request), file=self._process.stdin, flush=True)
            if answer := self._process.stdout.readline():
                return _Forked(int(answer))
        raise RuntimeError("the process that kernels are forked from has ended")

    def interrupt(self) -> None:
        """End it where it is still importing."""
        self._process.send_signal(signal.SIGINT)

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()


class _Forked(psutil.Process):
    """A process that is not this one's child, with what jupyter_client asks of subprocess.Popen."""

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        return None if self.is_running() else 1

    def send_signal(self, sig: int) -> None:
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile, which Popen says nothing of either
            super().send_signal(sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Manager(AsyncKernelManager):
    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]
        """By the message that asks for it.

        jupyter_client interrupts it first, which one that is not quite idle logs as an error. Those that are at work
        are interrupted by `Kernels.stop`.
        """
        self.shutting_down = True
        self.stop_restarter()
        await self.request_shutdown(restart=restart)
        await self.finish_shutdown(restart=restart)
        await self.cleanup_resources(restart=restart)


class _Forking(LocalProvisioner):
    warm: _Warm

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        if "-m" not in cmd:  # another language's kernel
            return await super().launch_kernel(cmd, **kwargs)
        module, *arguments = cmd[cmd.index("-m") + 1 :]
        self.cwd = kwargs["cwd"]
        self.process = self.warm.fork(module, arguments, kwargs["env"], self.cwd)
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _SideBySide(Engine):
    """papermill's own engine gives a kernel the environment and the folder of this process, which are one for all."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        kernels: Kernels,
        warm: _Warm | None,
        environment: Mapping[str, str],
        folder: Path,
        connection: Path,
        on_cell_start: Callable[[NotebookNode, int], None],
        **_: Any,
    ) -> NotebookNode:
        ending = {"shutdown_wait_time": _ENDING}
        config = Config({"KernelManager": {"connection_file": str(connection), **ending, **_ENCRYPTION}})
        manager = _Manager(kernel_name=kernel_name, config=config)
        if warm:
            manager.provisioner = _Forking(kernel_spec=manager.kernel_spec, parent=manager)
            manager.provisioner.warm = warm
        client = PapermillNotebookClient(
            nb_man,
            km=manager,
            startup_timeout=_START,
            coalesce_streams=True,
            log=_LOG,
            on_cell_start=on_cell_start,
        )
        output_path, nb_man.output_path = nb_man.output_path, None  # else all is written again after every cell
        try:
            with kernels.running(client):
                return client.execute(env=dict(environment), cwd=str(folder), cleanup_kc=True)
        finally:
            nb_man.output_path = output_path


papermill_engines.register(_ENGINE, _SideBySide)
