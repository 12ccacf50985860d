"""What a trained model is used for: the pipeline, streaming, explanation, representations, export."""
