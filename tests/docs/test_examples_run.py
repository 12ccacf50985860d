"""The examples of the README and of the documentation run as they are written, on a small toy corpus."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from joyful_hf import make_toy_corpus, make_toy_media_corpus
from joyful_hf.cli.app import main
from joyful_hf.data.jsonl import write_dialogues
from tests.docs.blocks import commands_of, examples_of, has_shape

ROOT = Path(__file__).parents[2]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if examples_of(page)]


def run_command(line: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", shlex.split(line))
        try:
            main()
        except SystemExit as end:
            if end.code:
                pytest.fail(f"{line} ends with exit status {end.code}")


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A folder as the pages assume it: dialogues, recordings, and in `out` a checkpoint trained on the former."""
    folder = tmp_path_factory.mktemp("project")
    for split, dialogues in make_toy_corpus(num_train=8, num_validation=4, num_test=4).items():
        write_dialogues(dialogues, folder / f"{split}.jsonl")
    make_toy_media_corpus(folder / "media", num_train=4, num_validation=1, num_test=1)
    shutil.copytree(folder / "media" / "test", folder / "recordings")
    files = " ".join(f"--{split}-file {folder / split}.jsonl" for split in ("train", "validation"))
    run_command(f"joyful train {files} --output-dir {folder / 'out'} --num-train-epochs 2")
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_examples_of_a_page_run_and_print_what_it_shows(page, project, tmp_path, monkeypatch, capsys):
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    names: dict[str, object] = {"__name__": "__main__"}
    for example in examples_of(page):
        if any(
            line.startswith("joyful train ") and line.endswith(" --output-dir out") for line in commands_of(example)
        ):
            shutil.rmtree(tmp_path / "out")  # the page shows how the checkpoint that is there was trained
        capsys.readouterr()
        if example.language == "python":
            exec(compile(example.code, f"{page}:{example.line}", "exec"), names)
        for line in commands_of(example):
            run_command(line)
        printed = capsys.readouterr().out.splitlines()
        if example.printed is not None:
            assert has_shape(printed, example.printed), f"{page.name}:{example.line} prints\n" + "\n".join(printed)


@pytest.mark.parametrize(
    ("printed", "shown", "fits"),
    [
        (["joy 0.81"], ["fear 0.5"], True),
        (["joy"], ["joy 0.5"], False),
        (["joy 0.81", "fear 0.4"], ["joy 0.5"], False),
        (["a", "b", "c 1"], ["…", "c 2"], True),
        (["a", "b", "c"], ["…", "c 2"], False),
    ],
)
def test_lines_have_a_shape_by_the_numbers_in_them(printed, shown, fits):
    assert has_shape(printed, shown) is fits
