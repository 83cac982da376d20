"""The Matryoshka-Adaptor: the method and nothing else. Importing this package needs numpy, safetensors and
pydantic only.

>>> import adaptor
>>> short = adaptor.load("out/adaptor").transform(vectors, dim=64)  # (n, d) -> float32 (n, 64)
"""

from adaptor.adaptor import Adaptor
from adaptor.artefact import from_files, load
from adaptor.errors import InputError, RunError

__all__ = ["Adaptor", "InputError", "RunError", "from_files", "load"]
