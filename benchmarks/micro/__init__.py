"""Small measurements of single functions: `uv run --extra dev --group bench pytest benchmarks/micro -n 0 --db=postgresql`."""
