"""Formats of the query side by name. To add one: a module beside this one, and a line here."""

from __future__ import annotations

#: Name → `module:object` of a `QueryFormat` (query_format.py); imported only when used, so that help is instant.
QUERY_FORMATS: dict[str, str] = {
    "onnx": "jobs.query_side.onnx_graph:OnnxFormat",
    "sentence-transformers": "jobs.query_side.sentence_transformers:SentenceTransformersFormat",
    "langchain": "jobs.query_side.matrix:LangChainFormat",
    "llamaindex": "jobs.query_side.matrix:LlamaIndexFormat",
    "faiss": "jobs.query_side.faiss_index:FaissFormat",
    "matrix": "jobs.query_side.matrix:MatrixFormat",
}
