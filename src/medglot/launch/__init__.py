"""Floor 3: ways to run shard functions. One file each; a machine file names the one to use."""
