"""Floor 4, authoring: training samples and benchmark items are made here, with people in the loop."""
