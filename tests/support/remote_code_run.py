"""What `tests/hub/test_remote_code.py` runs where nothing is installed but transformers and torch.

python -I -S tests/support/remote_code_run.py ENVIRONMENT CHECKPOINTS SCIKIT_LEARN

The first and the last are folders to import from; `CHECKPOINTS/NAME` holds `checkpoint` and `dialogues.json`.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

AUTO = {"trust_remote_code": True}


def outputs_of(model: Any, processor: Any, dialogues: list[dict[str, Any]]) -> dict[str, Any]:
    """What a model says of dialogues, with every bit of it."""
    import torch

    model.eval()
    with torch.no_grad():
        logits = model(**processor(dialogues, return_tensors="pt")).logits
    return {"logits": logits.tolist(), "predictions": model.predict(dialogues, processor)}


def load(folder: Path, **options: Any) -> tuple[Any, Any]:
    """Model and processor."""
    from transformers import AutoModel, AutoProcessor

    return AutoModel.from_pretrained(folder, **options), AutoProcessor.from_pretrained(folder, **options)


def run(folder: Path) -> dict[str, Any]:
    """The outputs of one checkpoint, as it is and saved once more, and which classes gave them."""
    from transformers import AutoConfig

    dialogues = json.loads((folder / "dialogues.json").read_text())
    model, processor = load(folder / "checkpoint", **AUTO)
    result = {
        "classes": [type(AutoConfig.from_pretrained(folder / "checkpoint", **AUTO)).__module__]
        + [type(one).__module__ for one in (model, processor)],
        "outputs": outputs_of(model, processor, dialogues),
    }
    for one in (model, processor):
        one.save_pretrained(folder / "again")
    return result | {"outputs_again": outputs_of(*load(folder / "again", **AUTO), dialogues)}


def main() -> None:
    environment, checkpoints, scikit_learn = sys.argv[1:]
    sys.path.append(environment)
    import torch

    torch.set_num_threads(1)
    for name in ("joyful_hf", "sklearn", "scipy", "pandas", "accelerate", "datasets", "torch_geometric"):
        assert find_spec(name) is None, f"{name} can be imported"
    from transformers.dynamic_module_utils import check_imports

    for file in {file.name: file for file in Path(checkpoints).glob("*/checkpoint/*.py")}.values():
        check_imports(file)  # transformers does this of every file that comes from the Hub
    folders = sorted(Path(checkpoints).iterdir())
    results, refused = {}, []
    for folder in folders:
        try:
            results[folder.name] = run(folder)
        except ImportError as error:
            refused.append((folder, str(error)))
    sys.path.append(scikit_learn)
    for folder, reason in refused:
        results[folder.name] = run(folder) | {"refused": reason}
    (Path(checkpoints).parent / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
