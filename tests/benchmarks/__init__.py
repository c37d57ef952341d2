"""The project's benchmarks: ratios to peers measured in the same run. `nox -s bench`. Timings decide no test."""
