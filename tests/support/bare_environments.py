"""Build the wheel and the sdist, and try them in environments that hold nothing else: without extras, and with each.

python tests/support/bare_environments.py [EXTRA ...]

Without arguments, every extra but `dev`. Environments are made by uv, which links what it has already downloaded.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What runs in each environment: arguments are the names of packages that the extra asks for.
TRIAL = """
import importlib, importlib.metadata, importlib.util, pkgutil, sys
import joyful_hf
from joyful_hf.processing.optional_imports import EXTRAS, import_optional, install_line

assert "site-packages" in joyful_hf.__file__, joyful_hf.__file__
for name in joyful_hf.__all__:
    getattr(joyful_hf, name)
for module in pkgutil.walk_packages(joyful_hf.__path__, "joyful_hf."):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        assert "which is not installed: pip install" in str(error), error

packages_of = importlib.metadata.packages_distributions()
for wanted in sys.argv[1:]:
    modules = [
        module
        for module, packages in packages_of.items()
        if wanted in [package.lower().replace("_", "-") for package in packages]
        and importlib.util.find_spec(module)  # opensmile's wheel lists a folder that is no module
    ]
    assert modules, f"{wanted} is not installed"
    for module in modules:
        importlib.import_module(module)

USED = {"plots": "matplotlib", "media": "av", "opensmile": "opensmile", "vad": "silero_vad", "corpora": "h5py",
        "umap": "umap", "search": "optuna", "adapters": "peft", "export": "onnxscript", "demo": "gradio"}
absent = 0
for extra, module in USED.items():
    try:
        import_optional(module, extra, "this")
    except ImportError as error:
        absent += 1
        assert str(error) == f"this needs {module}, which is not installed: {install_line(EXTRAS[extra])}", error
print(f"{len(USED) - absent} of {len(USED)} extras are there")
"""

# Without extras: dialogues to train on, as a user would have them.
DIALOGUES = """
from joyful_hf import make_toy_corpus
from joyful_hf.data.jsonl import write_dialogues

write_dialogues(list(make_toy_corpus(20, 1, 1)["train"]), "train.jsonl")
"""
TRAINING = ["train", "--train-file", "train.jsonl", "--output-dir", "out", "--num-train-epochs", "1"]
PREDICTION = ["predict", "out", "--data-file", "train.jsonl", "--output-file", "found.jsonl"]
REFUSED = {
    "plots": ["plot", "out", "--data-file", "train.jsonl", "--output-dir", "pictures"],
    "export": ["export", "out", "model.onnx"],
    "media": ["demo", "--output-dir", "demo"],
}
"""Extra -> a command that cannot do without it."""


class Environment:
    """An environment of its own, and an empty folder to work in.

    Args:
        folder: where to make both.
        package: what to install: a wheel, with extras or without, or an sdist.
    """

    def __init__(self, folder: Path, package: str) -> None:
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.bin = folder / "environment" / "bin"
        uv = Path(sys.executable).with_name("uv")
        self.run(uv, "venv", "-q", "--python", sys.executable, self.bin.parent)
        pinned = ("-c", ROOT / "constraints.txt")
        self.run(uv, "pip", "install", "-q", "--python", self.bin / "python", *pinned, package)

    def run(self, *command: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command, which has to end with this status."""
        finished = subprocess.run([str(part) for part in command], cwd=self.work, capture_output=True, text=True)
        if finished.returncode != status:
            sys.exit(f"{command} ended with status {finished.returncode}\n{finished.stdout}{finished.stderr}")
        return finished

    def python(self, code: str, *arguments: str) -> str:
        """Run Python code and return what it prints."""
        return self.run(self.bin / "python", "-c", code, *arguments).stdout

    def joyful(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.run(self.bin / "joyful", *arguments, status=status)


def try_without_extras(environment: Environment) -> None:
    """Train and predict, and read what each command says that needs an extra."""
    environment.python(DIALOGUES)
    environment.joyful(*TRAINING)
    environment.joyful(*PREDICTION)
    for extra, command in REFUSED.items():
        said = environment.joyful(*command, status=2).stderr
        assert said.startswith("joyful: error: "), said
        assert said.count("\n") == 1, said
        for package in EXTRAS[extra]:
            assert f'"{package}"' in said, said
        print(f"  {said}", end="")


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def main() -> None:
    """Build, install and try."""
    chosen = sys.argv[1:] or [extra for extra in EXTRAS if extra != "dev"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subprocess.run(
            [sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, stdout=subprocess.DEVNULL
        )
        (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
        for name, package in {"wheel": str(wheel), "sdist": str(sdist)}.items():
            environment = Environment(folder / name, package)
            environment.joyful("--help")
            print(f"{name} alone: {environment.python(TRIAL)}", end="")
        try_without_extras(environment)
        for extra in chosen:
            environment = Environment(folder / extra, f"{wheel}[{extra}]")
            environment.joyful("--help")
            packages = [requirement.partition(">=")[0] for requirement in EXTRAS[extra] if "[" not in requirement]
            print(f"{extra}: {environment.python(TRIAL, *packages)}", end="")


if __name__ == "__main__":
    main()
