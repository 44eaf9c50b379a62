"""Back-translation: corpus in, views out. Imports nothing from mixtext."""
