"""Workloads, suites, runs, records, models, plots, reports and benchmarks: everything that compares, standing above the engine."""
