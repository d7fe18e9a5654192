"""Loss terms: per-example values [B] from arrays. No networks and no averaging over the batch."""
