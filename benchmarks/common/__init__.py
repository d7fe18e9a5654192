"""The parts that several benchmarks share: recorded rows, tables of runs, timing, and new processes."""
