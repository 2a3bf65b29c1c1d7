"""Floor 4, corpus: from files of any kind to documents that are wanted, unique and free of benchmark questions."""
