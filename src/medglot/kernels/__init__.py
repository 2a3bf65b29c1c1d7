"""Floor 2: loops over Arrow buffers compiled by Numba, because a Python string a document costs more than the work itself.

Kernels have explicit signatures, release the interpreter lock and are cached on disk, so that only the first run on a machine compiles them.
"""
