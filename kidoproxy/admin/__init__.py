"""To be watched: plain counters, their exposition, and a small HTTP endpoint."""
