"""Programs without an engine: a loop over files, spread over processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.job import Floats, Job, column_of, matrix_of, row_groups, sample_of, vectors_of

Transform = Callable[[Floats], Floats]

_COPY_BYTES = 8 << 20


def floor(job: Job) -> None:
    """(a) Read every byte of the input and write as many as the output has: no program does less."""
    _on_all_files(job, _copy_bytes)


def bare_loop(job: Job) -> None:
    """(b) Row group by row group: read with pyarrow, one matrix product, write with pyarrow; files over processes."""
    _on_all_files(job, multiply_file)


def scikit_learn(job: Job) -> None:
    """(e) The same loop around `sklearn.decomposition.PCA.transform`."""
    _on_all_files(job, _sklearn_pca)


def faiss_pca(job: Job) -> None:
    """(f) The same loop around `faiss.PCAMatrix.apply`."""
    _on_all_files(job, _faiss_pca)


def prepare_scikit_learn(job: Job) -> None:
    """Fit PCA on the first rows."""
    import joblib
    from sklearn.decomposition import PCA

    joblib.dump(PCA(job.dim).fit(sample_of(job)), f"{job.models}/scikit-learn.joblib")


def prepare_faiss(job: Job) -> None:
    """Train a PCAMatrix on the first rows."""
    import faiss

    sample = sample_of(job)
    transform = faiss.PCAMatrix(sample.shape[1], job.dim)
    transform.train(sample)
    faiss.write_VectorTransform(transform, f"{job.models}/faiss")


def _on_all_files(job: Job, work: Callable[[Job, str], None]) -> None:
    """Files over `workers` processes, the usual way."""
    job.filesystem.create_dir(job.output, recursive=True)
    with ProcessPoolExecutor(job.workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(work, [job] * len(job.files), job.files))


def _copy_bytes(job: Job, name: str) -> None:
    left = job.output_bytes[name]
    filesystem = job.filesystem
    with (
        filesystem.open_input_stream(f"{job.source}/{name}") as source,
        filesystem.open_output_stream(f"{job.output}/{name}") as target,
    ):
        while chunk := source.read(_COPY_BYTES):
            target.write(chunk[:left])
            left -= min(left, len(chunk))


def multiply_file(job: Job, name: str) -> None:
    """One file of the bare loop."""
    matrix = matrix_of(job)
    _shorten_file(job, name, len(matrix), lambda vectors: vectors @ matrix)


def _sklearn_pca(job: Job, name: str) -> None:
    import joblib

    pca = joblib.load(f"{job.models}/scikit-learn.joblib")
    _shorten_file(job, name, pca.n_features_in_, pca.transform)


def _faiss_pca(job: Job, name: str) -> None:
    import faiss

    transform = faiss.read_VectorTransform(f"{job.models}/faiss")
    _shorten_file(job, name, transform.d_in, transform.apply)


def _shorten_file(job: Job, name: str, input_dim: int, transform: Transform) -> None:
    filesystem = job.filesystem
    with filesystem.open_input_file(f"{job.source}/{name}") as source:
        file = pq.ParquetFile(source)
        index = file.schema_arrow.get_field_index("vector")
        schema = file.schema_arrow.set(index, pa.field("vector", pa.list_(pa.float32(), job.dim)))
        with (
            filesystem.open_output_stream(f"{job.output}/{name}") as target,
            pq.ParquetWriter(target, schema, compression="none", use_dictionary=False) as writer,
        ):
            for batch in row_groups(file):
                short = column_of(transform(vectors_of(batch.column("vector"), input_dim)))
                writer.write_table(batch.set_column(index, schema.field(index), short))
