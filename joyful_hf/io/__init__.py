"""Files, errors of the Hub, words of messages, and pickles that are read without running them."""
