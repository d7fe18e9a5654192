"""The result tables of README.md and docs/, generated from the recorded rows in benchmarks/results/.

    python -m benchmarks.pages            rewrites every table
    python -m benchmarks.pages --check    rewrites nothing; exit status 1 if a table is stale

A table stands between `<!-- table: NAME -->` and `<!-- end table -->`; `tables.py` lists the names.
Which rows it shows:

1. A row's key is what was measured: for quality tables the row and the metric; for speed tables the recipe, its
   presets, the way of running it, and the device.
2. The newest row of a key wins. Files of rows only grow, so the newest row is the last one.
3. Quality tables do not tell devices apart: their numbers do not depend on the machine except by rounding. Each line
   names the device of its row.
4. Speed tables have one line, or one column, for each device.
5. A line of a history table names the commit whose row it shows.
"""
