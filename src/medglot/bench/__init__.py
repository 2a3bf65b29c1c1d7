"""Floor 4, bench: questions are put to a model, its replies read, and the readings scored with intervals."""
