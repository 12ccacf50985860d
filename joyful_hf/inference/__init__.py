"""Uses of a trained model: the pipeline, streaming, explanation, representations, dialogue graphs and export."""
