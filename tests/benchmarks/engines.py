"""Programs on an engine: Ray Data, Spark, Daft. Each imports its engine only when it runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tests.benchmarks.job import Job, column_of, matrix_of, sample_of, vectors_of


def ray_data(job: Job) -> None:
    """(d) `read_parquet → map_batches → write_parquet`, as in the first example of Ray Data's guide."""
    import ray
    import ray.data

    matrix = matrix_of(job)

    def shorten(batch: dict[str, Any]) -> dict[str, Any]:
        return batch | {"vector": np.stack(batch["vector"]).astype(np.float32, copy=False) @ matrix}

    ray.init(address="local", num_cpus=job.workers, include_dashboard=False)
    ray.data.read_parquet(job.source).map_batches(shorten, batch_format="numpy").write_parquet(job.output)
    ray.shutdown()


def spark(job: Job) -> None:
    """(g) Spark on this machine: the array as a vector, its PCA model, the vector as an array again."""
    from pyspark.ml.feature import PCAModel
    from pyspark.ml.functions import array_to_vector, vector_to_array
    from pyspark.sql.functions import col

    session = _spark_session(job)
    source = session.read.parquet(job.source)
    long = source.withColumn("long", array_to_vector(col("vector")))
    short = PCAModel.load(f"{job.models}/spark").transform(long)
    output = short.select("id", vector_to_array(col("short"), "float32").alias("vector"), "text")
    output.write.option("compression", "none").parquet(job.output)
    session.stop()


def daft(job: Job) -> None:
    """(h) Daft with a batch function."""
    import daft as engine

    matrix = matrix_of(job)
    kind = engine.DataType.fixed_size_list(engine.DataType.float32(), job.dim)

    @engine.udf(return_dtype=kind)  # type: ignore[untyped-decorator, unused-ignore]
    def shorten(vectors: Any) -> pa.Array:
        return column_of(vectors_of(vectors.to_arrow(), len(matrix)) @ matrix)

    source = engine.read_parquet(f"{job.source}/*.parquet")
    source.with_column("vector", shorten(source["vector"])).write_parquet(job.output, compression="none")


def prepare_spark(job: Job) -> None:
    """Fit `pyspark.ml.feature.PCA` on the first rows."""
    from pyspark.ml.feature import PCA
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql.functions import col

    session = _spark_session(job)
    sample = session.createDataFrame([(row.tolist(),) for row in sample_of(job)[:1000]], "vector array<float>")
    pca = PCA(k=job.dim, inputCol="long", outputCol="short")
    pca.fit(sample.select(array_to_vector(col("vector")).alias("long"))).write().overwrite().save(f"{job.models}/spark")
    session.stop()


def prepare_daft(_: Job) -> None:
    """Nothing but the check that it is installed."""
    import daft as _engine  # noqa: F401


def _spark_session(job: Job) -> Any:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local[{job.workers}]").config("spark.driver.memory", "4g")
    return builder.config("spark.ui.enabled", "false").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
