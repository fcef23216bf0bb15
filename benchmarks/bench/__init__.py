"""Parts of the benchmarks: contenders, meters, the delay on the way to a node, and tables."""
