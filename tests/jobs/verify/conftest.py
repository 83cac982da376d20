"""The workplace of the tests of compress, which make what verify looks at."""

from tests.jobs.compress.conftest import workplace

__all__ = ["workplace"]
