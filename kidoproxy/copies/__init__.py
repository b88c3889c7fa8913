"""How a copy that missed writes gets them: sync now, hints and scrub as they arrive."""
