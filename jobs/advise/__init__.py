"""The parts of `matryoshka advise`: nested samples, what they say of the whole source, and the decision."""
