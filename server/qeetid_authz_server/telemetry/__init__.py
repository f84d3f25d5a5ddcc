"""What is told of it while it runs: counts, metrics, traces, logs and health."""
