"""Kernels that run side by side, each with an environment of its own, and are stopped together."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import papermill
import zmq
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from traitlets.config import Config

# Nobody else on the machine reads what goes between a kernel and us; without, each kernel warns of it.
_ENCRYPTION = {"transport_encryption": "auto"} if zmq.has("curve") else {}
_LOG = logging.getLogger("papermill")
_LOG.setLevel(logging.CRITICAL)  # failures are told in our words
_ENGINE = "workbook"
_PATIENCE = 5  # seconds that an interrupted kernel gets to put its things in order
_START = 120  # seconds that a kernel may take to start: several start at once


class Kernels:
    """The kernels that run now. `execute` is called from several threads, `stop` from the one that waits for them."""

    def __init__(self) -> None:
        self._clients: set[PapermillNotebookClient] = set()
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
        """Run the notebook in its own folder with `environment`, and write what becomes of it to `executed`.

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
            environment=environment,
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
        seconds = 0
        while executions := {execution for execution in executions if not execution.done()}:
            try:
                # again every second: a kernel between two cells ignores an interrupt, and one may just be starting
                self._signal(signal.SIGINT if seconds < _PATIENCE else signal.SIGKILL)
                wait(executions, timeout=1)
                seconds += 1
            except KeyboardInterrupt:
                seconds = _PATIENCE

    def _signal(self, number: signal.Signals) -> None:
        for client in list(self._clients):
            process = getattr(getattr(client.km, "provisioner", None), "pid", None)
            if process:
                with suppress(ProcessLookupError):
                    os.killpg(process, number)  # a kernel leads a group: its workers and what it started


class _SideBySide(Engine):
    """papermill's own engine gives a kernel the environment and the folder of this process, which are one for all."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        kernels: Kernels,
        environment: Mapping[str, str],
        folder: Path,
        connection: Path,
        on_cell_start: Callable[[NotebookNode, int], None],
        **_: Any,
    ) -> NotebookNode:
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=_START,
            coalesce_streams=True,
            log=_LOG,
            on_cell_start=on_cell_start,
            config=Config({"KernelManager": {"connection_file": str(connection), **_ENCRYPTION}}),
        )
        with kernels.running(client):
            return client.execute(env=dict(environment), cwd=str(folder))


papermill_engines.register(_ENGINE, _SideBySide)
