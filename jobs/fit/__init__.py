"""The parts of `matryoshka fit`: sample, sharded search, training data, the training worker."""
