"""The parts of `matryoshka plan`: what is in the source, what this machine takes for it, and what follows from both."""
