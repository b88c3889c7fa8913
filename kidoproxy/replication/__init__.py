"""How a copy that missed writes gets them: a keeper for each copy pool, and one sync at a time."""
