"""The parts of `matryoshka advise`: nested samples, what they say of the whole store, and the decision."""
