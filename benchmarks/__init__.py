"""Benchmarks of the program's speed, quality and robustness; README.md lists the commands.

All measure the program's own code. `results/` keeps every row ever recorded; `pages` generates the tables of the
documentation from these rows.
"""
