"""The parts of `matryoshka evaluate`: search of the whole source, scoring, and the report."""
