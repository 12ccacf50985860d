"""The formats of transcripts and annotations, one file for each group: how they are read and written."""
