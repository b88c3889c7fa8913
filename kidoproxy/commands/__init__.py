"""What a command means: its arity, where its keys are, whom it reaches and how replies merge.

Data, not code: a table generated from real servers' own answers, corrected by one reviewed overlay.
"""
