"""The parts of `matryoshka compress`: what an actor does with a shard, the pool of them, and the report."""
