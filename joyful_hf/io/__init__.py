"""Files, errors of the Hub, and pickles that are read without running them."""
