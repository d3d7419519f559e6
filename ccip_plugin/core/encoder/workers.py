"""Worker threads that read images and run a model on them; independent of what the model gives."""

import contextlib
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from ..arrays import Vectors
from .concurrency import AdaptiveSemaphore, Budget, Channel
from .reading import Item

WAITING_RESULTS = 1024

R = TypeVar("R")
Read = TypeVar("Read", covariant=True)


class ItemReader(Protocol[Read]):
    """Reads items as inputs of a model."""

    @property
    def budget(self) -> Budget:
        """The memory limit."""
        ...

    def read(self, item: Item) -> Generator[tuple[Read, Vectors | None], None, None]:
        """Yields results without what the model gives, each with the model's input; None after a failure."""
        ...


class Workers(Generic[R]):
    """Worker threads, each of which reads an image and then runs the model on it.

    There is one thread more than the semaphore usually admits to the model: it reads ahead.

    Args:
        items: what is read, one worker at a time
        reader: reads them
        run: completes a result with what the model gives for an input; called by several threads
        workers: number of images that the model is run on at once
        spare (0): number of further ones while other programs use the cores
    """

    def __init__(
        self,
        items: Iterable[Item],
        reader: ItemReader[R],
        run: Callable[[R, Vectors], R],
        workers: int,
        spare: int = 0,
    ):
        self._items, self._reader, self._run_model, self._workers = iter(items), reader, run, workers
        self._model_slots = AdaptiveSemaphore(workers, spare)
        self._items_lock = threading.Lock()
        self._results: Channel[R] = Channel(WAITING_RESULTS)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts the threads."""
        self._results.expect(self._workers + 1)
        self.start_threads(self._workers + 1, self._work)

    def results(self) -> Iterator[R]:
        """Yields results in the order of completion."""
        while results := self._results.take():
            yield from results

    def stop(self) -> None:
        """Ends the threads, each after its current image."""
        self._stopped.set()
        self._reader.budget.close()
        self._results.close()
        for thread in self._threads:
            thread.join()

    def start_threads(self, n: int, work: Callable[[], None]) -> None:
        """Starts threads that :meth:`stop` waits for."""
        for _ in range(n):
            self._threads.append(threading.Thread(target=work, name=f"ccip-{len(self._threads)}", daemon=True))
            self._threads[-1].start()

    def read_all(self, process: Callable[[R, Vectors], None]) -> None:
        """Reads items until there are no more, or the work is stopped; failures are results."""
        try:
            while (item := self._next_item()) is not None:
                with contextlib.closing(self._reader.read(item)) as results:
                    for result, tensor in results:
                        if tensor is None:
                            self._results.put(result)
                        else:
                            process(result, tensor)
                        if self._stopped.is_set():
                            return
        except BaseException:
            self._stopped.set()
            raise

    def process(self, result: R, tensor: Vectors) -> None:
        """Runs the model on one input."""
        with self._model_slots.hold():
            result = self._run_model(result, tensor)
        self._results.put(result)

    def _work(self) -> None:
        with self._results.writing():
            self.read_all(self.process)

    def _next_item(self) -> Item | None:
        with self._items_lock:
            return None if self._stopped.is_set() else next(self._items, None)
