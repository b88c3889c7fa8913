"""Who is asked: a tree of small interchangeable routes that turns a request into a plan."""
