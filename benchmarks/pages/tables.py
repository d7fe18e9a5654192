"""The list of all tables, by name."""

from benchmarks.pages.history import HISTORY
from benchmarks.pages.pytorch import PYTORCH
from benchmarks.pages.quality import QUALITY
from benchmarks.pages.recipes import RECIPE_TABLE
from benchmarks.pages.speed import SPEED

TABLES = {table.name: table for table in (RECIPE_TABLE, *QUALITY, *SPEED, *PYTORCH, *HISTORY)}
