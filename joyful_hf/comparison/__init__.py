"""A fair comparison of models: the same data, the same protocol, the same number of trials, one test at the end."""
