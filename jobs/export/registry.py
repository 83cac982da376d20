"""Targets by the name that `matryoshka export NAME` gives them. To add one: a module in targets/, and a line here."""

from __future__ import annotations

#: Name → `module:object` of a `Target` (target.py); imported only when it is used, so that help is instant.
TARGETS: dict[str, str] = {
    "lancedb": "jobs.export.targets.lancedb:LanceDB",
    "pgvector": "jobs.export.targets.pgvector:Pgvector",
    "qdrant": "jobs.export.targets.qdrant:Qdrant",
    "milvus": "jobs.export.targets.milvus:Milvus",
    "redis": "jobs.export.targets.redis:Redis",
    "milvus-files": "jobs.export.targets.milvus_files:MilvusFiles",
    "elasticsearch": "jobs.export.targets.elasticsearch:Elasticsearch",
    "opensearch": "jobs.export.targets.elasticsearch:OpenSearch",
    "vespa": "jobs.export.targets.vespa:Vespa",
    "pinecone": "jobs.export.targets.pinecone:Pinecone",
    "faiss": "jobs.export.targets.faiss:Faiss",
}
