"""The parts of `matryoshka plan`: what is in the store, what this machine takes for it, and what follows from both."""
