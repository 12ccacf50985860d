"""Metrics, calibration, and scores under missing modalities."""
