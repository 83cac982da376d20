"""The parts of tests/benchmarks/quality.py: sets, contestants, scores, results."""
