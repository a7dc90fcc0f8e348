"""The run: a pure loop, the journal that it can be replayed from, and the process that runs it.

`loop` decides, `driver` does the I/O, `journal` remembers, `results` writes the Parquet file, and
`main` puts them together.
"""
