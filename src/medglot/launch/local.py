"""Shards on this machine: a pool of processes, one a core, or this process when there is only one shard or one worker.

Workers are spawned, not forked, so that no thread or lock of the parent is copied; each runs its numeric libraries on one thread. They end with
the parent, even when it is killed: one that went on could write into a folder that the next run has begun anew.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from medglot.core.config import Machine
from medglot.core.errors import MedglotError, StageError
from medglot.core.progress import Progress
from medglot.core.shards import Shard, ShardFunction, ShardRow, finished_row, run_shard

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")


class Local:
    """Maps shards over `machine.worker_count` processes of this machine."""

    def __init__(self, machine: Machine) -> None:
        self._workers = machine.worker_count

    def map_shards(self, function: ShardFunction, shards: Sequence[Shard], *, out: Path, title: str) -> list[ShardRow]:
        """Does the open shards and returns all rows in the order of `shards`; raises StageError that names a shard which failed."""
        rows = {shard.name: finished_row(out, shard.name) for shard in shards}
        if len(rows) != len(shards):
            raise StageError(f"{title}: two shards have one name; this is a defect of the stage, please report it")
        open_shards = [shard for shard in shards if rows[shard.name] is None]
        with Progress(title, len(shards), unit="shards") as progress:
            progress.advance(len(shards) - len(open_shards))
            if min(len(open_shards), self._workers) <= 1:
                for shard in open_shards:
                    rows[shard.name] = _named(function, shard, out)
                    progress.advance()
            else:
                self._map_pool(function, open_shards, out, rows, progress)
        return [row for shard in shards if (row := rows[shard.name]) is not None]

    def _map_pool(self, function: ShardFunction, shards: Sequence[Shard], out: Path, rows: dict[str, ShardRow | None], progress: Progress) -> None:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(self._workers, len(shards)), mp_context=context, initializer=_start_worker)
        try:
            futures: dict[Future[ShardRow], str] = {pool.submit(_named, function, shard, out): shard.name for shard in shards}
            for future in as_completed(futures):
                rows[futures[future]] = future.result()
                progress.advance()
        except BrokenProcessPool as error:
            raise StageError("a worker process was killed, most often for lack of memory: use fewer workers (--workers) and run again") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _named(function: ShardFunction, shard: Shard, out: Path) -> ShardRow:
    """`run_shard`, with the shard's name in any unexpected error."""
    try:
        return run_shard(function, shard, out)
    except MedglotError:
        raise
    except Exception as error:
        error.add_note(f"in shard {shard.name} of {function.__module__}.{function.__qualname__}")
        raise
