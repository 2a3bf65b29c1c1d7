"""Text metrics, one file each, over words that the caller has segmented. Every value travels with a signature that says how it was made."""
