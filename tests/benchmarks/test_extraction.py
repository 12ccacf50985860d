"""The benchmark of extraction measures each extractor twice, on sound that it can read."""

from benchmarks import extraction as benchmark


def test_a_minute_is_extracted_and_its_speed_told(capsys):
    assert benchmark.main(["--minutes", "1", "--extractors", "logmel"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [["| logmel", "1"], ["| logmel", "as it comes"]]
    for line in lines[2:]:
        seconds, speed = (float(cell) for cell in line.strip("| ").split(" | ")[2:])
        assert 0 < seconds < benchmark.MINUTE * 10
        assert speed >= 0
