"""The parts of `matryoshka plan`: what the source holds, how fast this machine is, and what follows from both."""
