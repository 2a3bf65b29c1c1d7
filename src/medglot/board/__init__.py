"""Floor 4: the leaderboard: scores and published results on one static page."""
