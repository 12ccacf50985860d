"""Pickles that others made: plain values come out, and nothing in them is imported or run."""

import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from joyful_hf.io.pickle_bounds import check_opcodes
from joyful_hf.io.restricted_pickle import Record, load_plain_pickle
from joyful_hf.processing import DialogueError

each_protocol = pytest.mark.parametrize("protocol", range(6))


@pytest.fixture
def read(tmp_path):
    """What is read back of bytes, or of a value that is pickled first."""

    def run(content, protocol=4):
        path = tmp_path / "file.pkl"
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
        return load_plain_pickle(path)

    return run


@each_protocol
def test_plain_values_come_back(protocol, read):
    value = {"a": [1, 2.5, None, True, "é", (b"\xff", {3}), OrderedDict(x=frozenset("y"))]}
    assert read(value, protocol) == value


dtypes = st.one_of(
    arrays.integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    arrays.boolean_dtypes(),
    arrays.unicode_string_dtypes(endianness="<", max_len=5),
    arrays.byte_string_dtypes(max_len=5),
)


@given(
    array=dtypes.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(max_dims=3, min_side=0))),
    protocol=st.integers(0, 5),
    in_columns=st.booleans(),
)
def test_arrays_come_back_as_they_were(array, protocol, in_columns, read):
    array = np.asfortranarray(array) if in_columns else array
    found = read(array, protocol)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


@each_protocol
def test_numbers_of_numpy_and_arrays_of_objects_come_back(protocol, read):
    number, objects = read((np.float32(0.1), np.array([None, "a", [1]], object)), protocol)
    assert number == np.float32(0.1)
    assert objects.tolist() == [None, "a", [1]]


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 wrote: strings are bytes, and numpy has its old module."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value) -> None:
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"T" + len(data).to_bytes(4, "little") + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def test_a_pickle_of_python_2_is_read_as_latin_1(read):
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump({"Ses01": ["caf\xe9", np.arange(300.0), np.float64(2.5)]})
    ((text, array, number),) = read(file.getvalue().replace(b"numpy._core.", b"numpy.core.")).values()
    assert text == "caf\xe9"
    np.testing.assert_array_equal(array, np.arange(300.0))
    assert number == 2.5


class Custom:
    """Stands for a class of somebody's training script."""

    def __init__(self) -> None:
        self.numbers = np.arange(3)
        self.me = self


@each_protocol
def test_an_object_of_any_class_becomes_a_record_of_its_attributes(protocol, read):
    (record,) = read([Custom()], protocol)
    assert isinstance(record, Record)
    assert record.class_name.endswith("test_restricted_pickle.Custom")
    assert record.attributes["numbers"].tolist() == [0, 1, 2]
    assert record.attributes["me"] is record


def test_what_is_shared_stays_shared(read):
    inner = [1]
    found = read([inner, inner])
    assert found[0] is found[1]


@each_protocol
def test_what_holds_itself_by_way_of_an_object_is_read(protocol, read):
    custom = Custom()
    custom.siblings = [custom, custom]
    record = read([custom], protocol)[0]
    assert record.attributes["siblings"] == [record, record]
    assert len(repr(record)) < 200


def shared(levels: int, make: type = list) -> Any:
    """Ten references to ten references to …: a few bytes a level, and 10 ** levels values."""
    value: Any = "x"
    for _ in range(levels):
        value = make([value] * 10)
    return value


def persistent(value: Any, protocol: int) -> bytes:
    """A pickle that refers to something outside of it, by this value."""
    return pickle.dumps(value, protocol).removesuffix(b".") + b"Q."


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (shared(39), "spells out more than 4,194,304 values"),
        ({"x": shared(39)}, "spells out more than 4,194,304 values"),
        ([Custom(), shared(39)], "spells out more than 4,194,304 values"),
        (shared(39, tuple), "a tuple that spells out more than 1,048,576 values"),
    ],
    ids=["lists", "lists in a dict", "lists beside an object", "tuples"],
)
@pytest.mark.parametrize("protocol", [1, 2, 4])
def test_a_few_bytes_that_spell_out_more_than_all_memory_are_refused(value, reason, protocol, read):
    data = pickle.dumps(value, protocol)
    assert len(data) < 3000
    with pytest.raises(DialogueError, match=f"{reason}.*nothing in it was run"):
        read(data)


def test_a_list_that_holds_itself_many_times_over_is_refused(read):
    loop: list[Any] = []
    loop.extend([loop] * 10)
    with pytest.raises(DialogueError, match="a list that holds itself"):
        read([loop])


@pytest.mark.parametrize("make", [list, tuple], ids=["lists", "tuples"])
def test_a_reference_that_spells_out_more_than_all_memory_is_not_printed(make, read):
    with pytest.raises(DialogueError, match=r"refers to|spells out") as error:
        read(persistent(shared(39, make), 2))
    assert len(str(error.value)) < 400


class Exploit:
    """Touches a file when it is unpickled the usual way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@each_protocol
def test_a_malicious_pickle_runs_nothing(protocol, read, tmp_path):
    """The call that it asks for becomes a record without attributes, wherever it stands."""
    trap = tmp_path / "trap"
    (record, inside) = read([Exploit(trap), {"x": (Exploit(trap),)}], protocol)
    assert not trap.exists()
    assert isinstance(record, Record)
    assert record.class_name == f"{os.name}.system"
    assert isinstance(inside["x"][0], Record)


def test_a_class_to_be_built_upon_is_not_the_real_one(read):
    """`setattr` by way of BUILD on a module or class would outlive the reading."""
    data = b"\x80\x02cnumpy\nndarray\n}X\x04\x00\x00\x00evilK\x01sb."
    with pytest.raises(DialogueError, match="not a readable pickle"):
        read(data)
    assert not hasattr(np.ndarray, "evil")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a readable pickle"),
        (b"\x80\x04\x95", "not a readable pickle"),
        (pickle.dumps([1] * 100)[:-5], "not a readable pickle"),
        (b"PK\x03\x04", "not a readable pickle"),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", "git-LFS pointer"),
        (b"\x80\x02\x82\x01.", "asks for a copyreg extension"),
        (b"\x80\x02}r\xff\xff\xff\xff.", "memo index 4294967295"),
        (b"\x80\x02}N" + b"\x85" * 100_000 + b"Ns.", "tuples nested more than 1000 deep"),
        (b"\x80\x02}N" + b"\x85q\x000h\x00" * 2000 + b"Ns.", "tuples nested more than 1000 deep"),
        (b"\x80\x02}N" + b"\x85Nb(u(e" * 2000 + b"Ns.", "tuples nested more than 1000 deep"),
        (b"\x80\x02]" + b"]" * 5000 + b"a" * 5000 + b".", "RecursionError"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "lies outside of it"),
    ],
    ids=[
        "empty",
        "cut in a frame",
        "cut",
        "zip",
        "pointer",
        "extension",
        "memo",
        "tuples",
        "tuples by way of the memo",
        "tuples by way of opcodes that leave them as they are",
        "lists",
        "persistent",
    ],
)
def test_a_spoilt_or_harmful_file_is_refused(data, message, read):
    with pytest.raises(DialogueError, match=message):
        read(data)


def test_an_array_that_announces_more_than_it_holds_is_refused(read):
    data = pickle.dumps(np.zeros(4, np.uint8), 2).replace(b"K\x04\x85", b"J\xff\xff\xff\x7f\x85")
    with pytest.raises(DialogueError, match="not a readable pickle"):
        read(data)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DialogueError, match="there is no such file"):
        load_plain_pickle(tmp_path / "none.pkl")


def test_a_damaged_length_is_not_made_room_for():
    class File(io.BytesIO):
        most = 0

        def read(self, count=-1):
            self.most = max(self.most, count)
            return super().read(count)

    file = File(b"\x80\x02X\x00\x00\xff\xffname")  # a string of 4 GiB
    with pytest.raises(ValueError, match="only 4 remain"):
        check_opcodes(file, len(file.getvalue()))
    assert file.most <= len(file.getvalue())


def test_nor_is_a_damaged_frame(read):
    whole = pickle.dumps(["name"] * 9, 4)
    with pytest.raises(DialogueError, match=r"is damaged \(a frame of 1,152,921,504,606,846,976 bytes\)"):
        read(whole.replace(whole[3:11], (1 << 60).to_bytes(8, "little")))
