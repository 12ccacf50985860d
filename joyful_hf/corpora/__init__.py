"""Make training files from licensed corpora and shared feature pickles."""
