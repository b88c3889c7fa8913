"""What keeps the copies of a pool equal: writes, elections, syncs and repairs. README.md is a tour."""
