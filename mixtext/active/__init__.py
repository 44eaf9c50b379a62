"""Active learning for tagging: query policies, fluency scorers, the rounds."""
