"""The parts of the processor's benchmark, one per file. May import what `benchmark` may."""
