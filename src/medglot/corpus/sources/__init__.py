"""Kinds of source, one file each: ``parquet`` is `medglot.corpus.sources.parquet:Parquet`."""
