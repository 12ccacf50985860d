"""Tables that need not fit into memory: small ones stay there, large ones lie in a file that is mapped into it.

The file has no name, so that nothing is left of it when the process ends, however it ends. Its pages are the system's
cache, which takes them back where memory is short.
"""

import mmap
import tempfile
from collections.abc import Iterable
from pathlib import Path

import datasets.config
import pyarrow as pa
from datasets import Dataset, DatasetInfo
from datasets.fingerprint import generate_random_fingerprint

from ..processing import DialogueError

MOST_IN_MEMORY = 64 * 2**20
"""Bytes of tables, or of encoded examples, that stay in memory."""
_ALIGNMENT = 64
"""Bytes to which Arrow wants its arrays aligned."""


def folder_of_files() -> Path:
    """Return where tables that are too large for memory lie: in the cache of `datasets`."""
    return Path(datasets.config.HF_DATASETS_CACHE) / "joyful_hf"


class ArrowFile:
    """Tables in one file without a name, each with its own schema.

    Raises:
        DialogueError: the file cannot be written.
    """

    def __init__(self) -> None:
        self._places: list[tuple[int, int]] = []
        folder = folder_of_files()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        except OSError as error:
            raise _not_written(error) from None

    def write(self, table: pa.Table) -> None:
        """Add a table at the end."""
        try:
            self._file.write(bytes(-self._file.tell() % _ALIGNMENT))
            start = self._file.tell()
            with pa.ipc.new_stream(self._file, table.schema) as stream:
                stream.write_table(table)
            self._places.append((start, self._file.tell()))
        except OSError as error:
            raise _not_written(error) from None

    def tables(self) -> list[pa.Table]:
        """Return the tables, which read the file when they are used."""
        self._file.flush()
        mapped = pa.py_buffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
        return [pa.ipc.open_stream(mapped.slice(start, end - start)).read_all() for start, end in self._places]


def _not_written(error: OSError) -> DialogueError:
    return DialogueError(
        f"{folder_of_files()}: cannot be written ({error.strerror or error}), and data that are too large for memory "
        "go there; set HF_DATASETS_CACHE to a folder with more room"
    )


def stored_tables(tables: Iterable[pa.Table]) -> list[pa.Table]:
    """Collect tables in memory while they are small together, and in a file once they are not."""
    kept: list[pa.Table] = []
    size = 0
    file: ArrowFile | None = None
    for table in tables:
        if file is not None:
            file.write(table)
            continue
        kept.append(table)
        size += table.nbytes
        if size > MOST_IN_MEMORY:
            file = ArrowFile()
            for earlier in kept:
                file.write(earlier)
            kept = []
    return kept if file is None else file.tables()


def dataset_of(table: pa.Table, info: DatasetInfo | None = None) -> Dataset:
    """Make a data set of a table. `datasets` would pickle the whole table to find a name for it."""
    return Dataset(table, info=info, fingerprint=generate_random_fingerprint())
