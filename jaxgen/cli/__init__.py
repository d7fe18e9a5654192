"""The command line: flags and dispatch (`main`), the modes (`commands`, `explore`) and error messages (`errors`)."""
