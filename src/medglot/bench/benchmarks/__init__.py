"""Benchmarks, one file each: see `medglot.bench.benchmarks.base.Benchmark`."""
