"""Faults that strike at the n-th point of a run, what is run, and what must hold afterwards (`test_nth_call`)."""
