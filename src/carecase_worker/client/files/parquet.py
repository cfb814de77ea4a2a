"""Parquet files, read by pyarrow: a header row of the columns' names, then the rows, some at a time."""

from collections.abc import Iterator, Sequence

from carecase_worker.client.files.sources import Readable
from carecase_worker.client.files.workbooks import needed
from carecase_worker.errors import BatchUnreadable

_ROWS_AT_ONCE = 1000


def rows_of_parquet(file: Readable, name: str) -> Iterator[Sequence[object]]:
    """Yield the names of the columns, then the rows. Raises BatchUnreadable."""
    parquet, arrow = needed("pyarrow.parquet", name), needed("pyarrow", name)
    try:
        opened = parquet.ParquetFile(file)
        yield opened.schema_arrow.names
        for batch in opened.iter_batches(batch_size=_ROWS_AT_ONCE):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
    except arrow.ArrowException:
        raise BatchUnreadable(f"{name}: is not a readable Parquet file. Write it again, or save it as CSV.") from None
