"""A proxy at work for a long time: what it holds does not grow. ``python -m tests.soak --minutes 60`` by hand."""
