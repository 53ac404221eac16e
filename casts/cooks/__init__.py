"""Collections of pieces: what they are drawn from, and how they are made."""
