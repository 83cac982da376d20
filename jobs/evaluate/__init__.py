"""The parts of `matryoshka evaluate`: search of the whole store, scoring, and the report."""
