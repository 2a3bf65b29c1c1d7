"""Filters of documents, one file each: ``length`` is `medglot.corpus.filters.length:Length`."""
