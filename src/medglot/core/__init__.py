"""Floor 1: records, artifacts and the few contracts that every floor above shares."""
