"""`joyful compare`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..families import FAMILIES
from ..processing.dialogue_error import DialogueError
from .options import DATA_HELP, Columns, DataRoot, Device, announce, hide_bars_in_files, parse_columns, resumable


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            help=(
                f"Models to compare: {', '.join(FAMILIES)}, or the baselines bigru, logistic-regression, majority. "
                "MODEL:PRESET is one of a family's published forms; NAME=MODEL gives it a name in the tables."
            )
        ),
    ],
    output_dir: Annotated[Path, typer.Option(help="Folder for the reports and the finished cells.")],
    train_file: Annotated[str | None, typer.Option(help=DATA_HELP)] = None,
    validation_file: Annotated[
        str | None,
        typer.Option(help="Chooses checkpoints. Without it, each seed holds out 10 % of the training dialogues."),
    ] = None,
    test_file: Annotated[str | None, typer.Option(help="Scored once, at the end.")] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            help="One more corpus: a folder as `joyful prepare` writes it, NAME=FOLDER, toy, or toy-frames. "
            "May be given several times."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds.", min=1)] = 5,
    folds: Annotated[
        int | None, typer.Option(help="Cross-validate on the training dialogues with this many folds.", min=2)
    ] = None,
    group_key: Annotated[
        str | None,
        typer.Option(help="Cross-validate by a key of the dialogues, such as session: each value is left out once."),
    ] = None,
    trials: Annotated[
        int,
        typer.Option(
            help="Trials of other settings on validation for each model, besides one of its own settings.", min=0
        ),
    ] = 0,
    search: Annotated[str, typer.Option(help="Who proposes the settings of a trial: random or optuna.")] = "random",
    modalities: Annotated[
        list[str] | None,
        typer.Option(
            help="Modalities that models read, such as text+audio; may be given several times. [default: all]"
        ),
    ] = None,
    config_json: Annotated[
        str,
        typer.Option(help='Settings for all models, or under the name of one: {"sdt": {"hidden_size": 128}}.'),
    ] = "{}",
    training_json: Annotated[
        str, typer.Option(help='Training arguments, in the same way: {"num_train_epochs": 30}.')
    ] = "{}",
    num_proc: Annotated[int, typer.Option(help="Trials or cells that run at the same time.", min=1)] = 1,
    report_test_selected: Annotated[
        bool,
        typer.Option(
            "--report-test-selected",
            help="Show beside the fair scores what choosing epochs by the test score would give, as many papers do.",
        ),
    ] = False,
    columns: Columns = None,
    data_root: DataRoot = None,
    device: Device = None,
) -> None:
    """Compare models by one protocol, over several seeds.

    Checkpoints are chosen on validation, and tested once. A finished cell is kept: the same command goes on where it
    was stopped.
    """
    settings, training = _parse(config_json, "config_json"), _parse(training_json, "training_json")

    from ..comparison.conclusions import conclude
    from ..comparison.corpora import CorpusSource, corpus_source
    from ..comparison.entrants import parse_entrants
    from ..comparison.reports import REPORT
    from ..comparison.run import Plan
    from ..comparison.run import compare as run_comparison
    from ..comparison.tables import as_markdown, corpus_table, overview_table
    from ..processing.devices import choose_device

    hide_bars_in_files()
    if device is not None:
        training = {"torch_device": device} | training
    sources = [corpus_source(word, folds, group_key) for word in corpus or []]
    if train_file is not None:
        cross_validated = folds is not None or group_key is not None
        if cross_validated and (validation_file or test_file):
            raise DialogueError(
                "`folds` and `group_key` split the training dialogues; leave out `validation_file` and `test_file`"
            )
        path = Path(train_file)
        name = path.parent.resolve().name if path.stem == "train" else path.stem
        pairs = tuple((parse_columns(columns) or {}).items())
        sources.insert(0, CorpusSource(name, train_file, validation_file, test_file, folds, group_key, pairs))
    elif validation_file or test_file or columns:
        raise DialogueError("`train_file` is missing; `validation_file`, `test_file` and `columns` belong to it")
    plan = Plan(
        sources=[replace(source, data_root=data_root) for source in sources],
        entrants=parse_entrants(models, settings, training),
        output_dir=output_dir,
        num_seeds=seeds,
        modalities=[tuple(subset.split("+")) for subset in modalities] if modalities else [()],
        num_trials=trials,
        sampler=search,
        num_proc=num_proc,
        watch_test=report_test_selected,
    )
    announce(choose_device(device))
    with resumable():
        results = run_comparison(plan, report=lambda line: print(line, flush=True))
    if len(results) > 1:
        print(f"\n{as_markdown(*overview_table(results))}")
    for result in results:
        print(f"\n{result.name}\n{as_markdown(*corpus_table(result))}")
    for result in results:
        print("\n" + " ".join(conclude(result)))
    print(f"\nreports: {output_dir / REPORT}.md, .csv, .tex, .json")


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise DialogueError(f"`{name}` is not valid JSON ({error})") from None
    if not isinstance(given, dict):
        raise DialogueError(f"`{name}` must be an object, as in '{{\"sdt\": {{}}}}'")
    return given
