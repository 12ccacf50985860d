"""What every test runs under: no network, one thread, and no deprecated call into transformers."""

import os

from tests.support.hub_server import ENDPOINT, HubServer

# Read when the libraries are imported, hence before them.
os.environ["HF_ENDPOINT"] = ENDPOINT  # on loopback: no test can ask the Hub itself
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_XET"] = "1"  # large files go the way that `tests.support.hub_server` knows
os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import gc
import logging
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, settings

from tests.support.helpers import FAMILY_CASES, RIVAL_CASES, make_dialogues

torch.set_num_threads(1)

# The same examples in every run, with no file and no clock, which the check for slow ones reads; the fixtures that
# laws are tested over are constants.
settings.register_profile(
    "joyful",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("joyful")


class RefuseDeprecations(logging.Handler):
    """transformers announces most removals in its log, not as warnings: such a message fails the test."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "deprecat" in message.lower():
            raise AssertionError(f"transformers says: {message}")


@pytest.fixture(autouse=True)
def refuse_deprecations():
    """Fail a test in which transformers logs a deprecation."""
    logger = logging.getLogger("transformers")
    handler = RefuseDeprecations(level=logging.WARNING)
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


# Where every form of our families is tried, and every rival in its recommended form. Elsewhere a few stand for all.
EVERY_FAMILY = {"test_invariants", "test_model_api", "test_steps", "test_auto_classes", "test_absent_modalities"}
RECOMMENDED_FORMS = {"tests.accelerator.test_families"}
"""Where every family is tried in its recommended form alone."""
OTHER_FORMS = {"joyful-paper", "ar-iigcn-paper", "foal-net-with-text"}
"""Published forms of our families for which, outside of these files, the recommended and the released ones stand."""
SOME_RIVALS = {"sdt-recommended", "dialogue-rnn-recommended", "gban-recommended"}
"""Rivals with losses of their own, with a recurrence of its own, and with a processor of its own."""
COMPILED = {"joyful-recommended", "ar-iigcn-recommended", "foal-net"}
"""Forms that are compiled and exported, which takes many seconds each."""


LONGEST = ("tests/test_invariants.py", "tests/test_accelerator.py")
"""Files that take longest. They begin: at the end, the other workers would wait for them."""


def pytest_collection_finish():
    """Keep what the libraries and the tests have loaded out of the garbage collections.

    Each looked through several million objects that stay anyhow: a third of the time of a test that trains.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none, and leave most forms of the rivals to the slow tests."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
        if is_left_to_slow_tests(item):
            item.add_marker(pytest.mark.slow)


def is_left_to_slow_tests(item) -> bool:
    """Whether a test is of a form of a family for which others stand."""
    given = getattr(item, "callspec", None)
    if given is None:
        return False
    compiled = given.params.get("compiled_family")
    if compiled is not None:
        return compiled.name not in COMPILED
    case, module = given.params.get("family"), item.module.__name__
    tries_every_family = module.rpartition(".")[2] in EVERY_FAMILY
    if case in FAMILY_CASES:
        return case.name in OTHER_FORMS and not tries_every_family
    if case not in RIVAL_CASES or case.name in SOME_RIVALS:
        return False
    is_other_form = case.name.endswith("-released") or case.name == "lmam-dialogue-rnn"
    return is_other_form or not (tries_every_family or module in RECOMMENDED_FORMS)


@pytest.fixture(params=[*FAMILY_CASES, *RIVAL_CASES], ids=lambda case: case.name)
def family(request):
    """Every family in each of its forms: a test that asks for it runs once per row of the two tables."""
    return request.param


@pytest.fixture(
    params=[*FAMILY_CASES, *(case for case in RIVAL_CASES if case.name.endswith("-recommended"))],
    ids=lambda case: case.name,
)
def compiled_family(request):
    """The same for what takes many seconds per form: of the rivals, the recommended one."""
    return request.param


@pytest.fixture
def streams_end_at_once(monkeypatch):
    """datasets waits five seconds after each pass over a shuffled stream of files, until the threads of Arrow end."""
    import datasets

    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.05)


@pytest.fixture
def dialogues():
    """Four random dialogues of 5, 9, 1 and 23 utterances, two speakers, all modalities, four emotions."""
    return make_dialogues()


@pytest.fixture(scope="session")
def encoders(tmp_path_factory):
    """Modality -> folder of a tiny pretrained encoder, as a string."""
    from tests.support.media import make_image_encoder, make_speech_encoder, make_text_encoder

    folder = tmp_path_factory.mktemp("encoders")
    makers = {"text": make_text_encoder, "audio": make_speech_encoder, "visual": make_image_encoder}
    return {modality: str(make(folder / modality)) for modality, make in makers.items()}


@pytest.fixture(scope="session")
def hub_server():
    """The server behind `hub`."""
    with HubServer().running() as server:
        yield server


@pytest.fixture
def hub(hub_server, monkeypatch, tmp_path):
    """An empty Hub, to which the libraries speak as they do to huggingface.co. `ada`, who may write, is logged in."""
    import datasets
    from huggingface_hub import constants

    hub_server.clear()
    cache = tmp_path / "huggingface"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache / "datasets")
    monkeypatch.setattr(datasets.config, "USE_PARQUET_EXPORT", False)  # asks a second server
    monkeypatch.setenv("HF_TOKEN", "hf_ada")
    at_once = SimpleNamespace(**vars(time) | {"sleep": lambda seconds: None})
    monkeypatch.setattr("huggingface_hub.utils._http.time", at_once)  # it waits before it tries again
    return hub_server


class Result:
    """How a command ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def joyful(monkeypatch, capsys, tmp_path):
    """Runs `joyful` with these arguments, in a folder of its own."""
    from joyful_hf.cli import app as cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> Result:
        monkeypatch.setattr(sys, "argv", ["joyful", *map(str, arguments)])
        capsys.readouterr()
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
        return Result(status, *capsys.readouterr())

    return run


@pytest.fixture
def fails(joyful):
    """Runs `joyful` and gives the one line that says what is wrong."""

    def run(*arguments) -> str:
        result = joyful(*arguments)
        assert result.status == 2
        assert result.err.startswith("joyful: error: ")
        assert result.err.count("\n") == 1, result.err
        assert result.err.endswith("\n")
        return result.err.removeprefix("joyful: error: ").rstrip("\n")

    return run
