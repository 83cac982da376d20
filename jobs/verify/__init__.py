"""The parts of `matryoshka verify`: the checks of the listings, and those of one output against its source."""
