"""``kidoproxy import``: pools as nutcracker.yml and Django's CACHES have them, as pools of ours.

What is written places every key where it lies; a pool that could not is left out, and named.
"""
