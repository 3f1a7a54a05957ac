"""One function over partitions: in this process, in some, or on a Ray cluster.

The function is a value that can be sent, and its result does not depend on where it runs: every
process computes on one thread.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from typing import Any, Generic, TypeVar

from tsfm.errors import ConfigError, TsfmError, UnsupportedError, is_panic

Unit = TypeVar("Unit")
Function = Callable[[Any], Any]
ENGINES = ("local", "ray")
MOST_ATTEMPTS = 3
"""Times a unit may take its process down before it is given up."""


@dataclass(frozen=True)
class Outcome(Generic[Unit]):
    """What came of a unit: a value, or an error in a line."""

    unit: Unit
    value: Any = None
    error: str | None = None


def run_units(
    function: Function,
    units: Sequence[Unit],
    *,
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
) -> Iterator[Outcome[Unit]]:
    """Yield the outcome of every unit, in the order in which they end.

    Parameters
    ----------
    workers
        Processes; by default one per core, of this machine or of the cluster. One is this process.
    address
        Of a running Ray cluster; without it Ray starts one on this machine.

    Raises
    ------
    ConfigError
        When there is no such engine, or the cluster cannot be reached.
    UnsupportedError
        When Ray is not installed.
    """
    check_engine(engine)
    if engine == "ray":
        return _on_ray(function, units, workers, address)
    workers = min(workers or n_cores(), len(units))
    return _here(function, units) if workers <= 1 else _in_processes(function, units, workers)


def check_engine(engine: str) -> None:
    """Say what is wrong with the name of an engine, before anything is read."""
    if engine not in ENGINES:
        raise ConfigError(f"engine must be one of {list(ENGINES)}, got {engine!r}")
    if engine == "ray":
        import importlib.util

        if importlib.util.find_spec("ray") is None:
            raise UnsupportedError("engine='ray' needs ray, got none; pip install 'tsfm-kit[ray]'")


def n_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def attempt(function: Function, unit: Unit) -> Outcome[Unit]:
    """Run one unit; whatever goes wrong is its outcome, so that the others go on."""
    try:
        return Outcome(unit, function(unit))
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        text = " ".join(str(error).split())
        is_ours = isinstance(error, TsfmError | OSError) and text
        return Outcome(unit, error=text if is_ours else f"{type(error).__name__}: {text}")


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, as every worker does."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _here(function: Function, units: Sequence[Unit]) -> Iterator[Outcome[Unit]]:
    for unit in units:
        with one_thread():
            outcome = attempt(function, unit)
        yield outcome


def _in_processes(
    function: Function, units: Sequence[Unit], workers: int
) -> Iterator[Outcome[Unit]]:
    """Run units in processes; one that dies takes no unit but its own with it."""
    waiting = deque(range(len(units)))
    suspects: deque[int] = deque()
    deaths: Counter[int] = Counter()
    while waiting or suspects:
        # Which of the units that were running ended a process is found by running each alone.
        queue, n_processes = (suspects, 1) if suspects else (waiting, workers)
        lost = yield from _until_one_dies(function, units, queue, n_processes)
        deaths.update(lost)
        for number in lost:
            if deaths[number] < MOST_ATTEMPTS:
                suspects.append(number)
            else:
                text = f"its process died {MOST_ATTEMPTS} times; see the memory of the machine"
                yield Outcome(units[number], error=text)


def _until_one_dies(
    function: Function, units: Sequence[Unit], queue: deque[int], n_processes: int
) -> Generator[Outcome[Unit], None, list[int]]:
    """Yield outcomes until the queue is empty or a process died; return what was running then."""
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n_processes, context, _become_worker, (function,))
    running: dict[Future[Outcome[Unit]], int] = {}
    # A suspect is alone; else one unit waits for each process.
    most = 1 if n_processes == 1 else 2 * n_processes
    try:
        while queue or running:
            while queue and len(running) < most:
                # Taken off only when it was accepted: a pool may break between two of them.
                running[pool.submit(_work, units[queue[0]])] = queue[0]
                queue.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                outcome = future.result()
                del running[future]
                yield outcome
    except BrokenProcessPool:
        return list(running.values())
    except BaseException:
        # Whoever stops the job shall not wait for what is half done.
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return []


_function: list[Function] = []


def _become_worker(function: Function) -> None:
    import torch

    torch.set_num_threads(1)
    # The first process decides what an interruption means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _function[:] = [function]


def _end_with_parent() -> None:
    """End when the first process was killed; nobody would read what is computed then."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _work(unit: Any) -> Outcome[Any]:
    return attempt(_function[0], unit)


def _on_ray(
    function: Function, units: Sequence[Unit], workers: int | None, address: str | None
) -> Iterator[Outcome[Unit]]:
    """Run units as Ray tasks: a task whose worker or node is lost runs again elsewhere.

    A process that runs many of them keeps the model; twice as many are under way as there are
    cores, so that a large plan does not fill the cluster's queues.
    """
    import ray

    is_ours = _join_cluster(ray, address)
    try:
        shared = ray.put(function)
        task = ray.remote(num_cpus=1, max_retries=MOST_ATTEMPTS)(_ray_task)
        most = 2 * (workers or _cluster_cores(ray))
        waiting = deque(range(len(units)))
        running: dict[Any, int] = {}
        while waiting or running:
            while waiting and len(running) < most:
                number = waiting.popleft()
                running[task.remote(shared, units[number])] = number
            (ready, *_), _ = ray.wait(list(running), num_returns=1)
            number = running.pop(ready)
            try:
                yield ray.get(ready)
            except ray.exceptions.RayError as error:
                text = (str(error) or type(error).__name__).splitlines()[0]
                yield Outcome(units[number], error=f"Ray gave it up: {text}")
    finally:
        if is_ours:
            ray.shutdown()


def _cluster_cores(ray: Any) -> int:
    return int(ray.cluster_resources().get("CPU", 1))


def _ray_task(function: Function, unit: Any) -> Outcome[Any]:
    with one_thread():
        return attempt(function, unit)


def _join_cluster(ray: Any, address: str | None) -> bool:
    """Connect to a cluster, or start one; return whether that was not done before."""
    if ray.is_initialized():
        return False
    # Nothing reports to anybody unless the user wants it to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        text = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"address must be that of a running Ray cluster, got {address!r}: {text}; start one "
            "with `ray start --head`, or leave --address out"
        ) from None
    return True
