"""Mean and standard deviation of each feature, learnt in one pass and kept exactly in JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from joyful_hf.processing.standardization import RunningStatistics

vectors_of_features = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(-1000, 1000, width=32),
)


def feature_statistics(vectors, size):
    statistics = RunningStatistics(size)
    for vector in vectors:
        statistics.add(vector)
    return statistics.result()


@given(vectors=vectors_of_features)
def test_one_pass_finds_mean_and_deviation(vectors):
    statistics = feature_statistics(iter(vectors), vectors.shape[1])
    exact = vectors.astype(np.float64)
    deviation = exact.std(axis=0)
    smallest = np.maximum(4 * np.finfo(np.float32).eps * np.abs(exact.mean(axis=0)), 1e-12)
    np.testing.assert_allclose(statistics["mean"], exact.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(statistics["std"], np.where(deviation < smallest, 1, deviation), rtol=1e-5)


@given(scale=st.floats(1e-9, 1e9))
def test_a_dimension_of_any_scale_is_scaled(scale):
    vectors = np.array([[1.0], [2.0], [4.0]]) * scale
    statistics = feature_statistics(vectors, 1)
    scaled = (vectors - statistics["mean"]) / statistics["std"]
    assert scaled.std() == pytest.approx(1, rel=1e-5)


def test_rounding_of_a_large_value_is_not_blown_up():
    rng = np.random.default_rng(0)
    vectors = (1000 + 1e-4 * rng.standard_normal((100, 1))).astype(np.float32)
    statistics = feature_statistics(vectors, 1)
    assert (1001 - statistics["mean"][0]) / statistics["std"][0] == pytest.approx(1, rel=1e-3)


def test_a_large_offset_cancels_nothing():
    vectors = (1e6 + np.array([[0.0], [1.0], [2.0], [3.0]])).astype(np.float32)
    assert feature_statistics(vectors, 1)["std"] == pytest.approx([np.sqrt(1.25)])


@given(vectors=vectors_of_features)
def test_json_keeps_every_bit(vectors):
    statistics = feature_statistics(vectors, vectors.shape[1])
    reread = json.loads(json.dumps(statistics))
    assert reread == statistics
    for name in ("mean", "std"):
        assert np.asarray(reread[name], np.float32).tolist() == statistics[name]


@given(value=st.floats(-1000, 1000, width=32), count=st.integers(1, 50))
def test_a_dimension_that_never_varies_is_centred_but_not_blown_up(value, count):
    assert feature_statistics([np.array([value], np.float32)] * count, 1) == {"mean": [value], "std": [1.0]}


def test_without_any_vector_features_stay_as_they_are():
    assert feature_statistics([], 3) == {"mean": [0.0] * 3, "std": [1.0] * 3}
