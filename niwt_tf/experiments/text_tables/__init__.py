"""The tables of "Language to Network", row by row."""
