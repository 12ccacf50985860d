"""Copy the code of a model and its processor into a checkpoint, which `trust_remote_code=True` then loads on its own.

The files of `modeling/` and `processing/` import each other as `from .name import …`, so that they also run together
in one folder.
"""

import inspect
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_import_files

from ..families import FAMILIES, family_of
from ..io.files import read_json, write_json
from ..processing import DialogueError

LICENSE_FILE = "code_license.txt"
"""The license of the code, under a name that does not claim to be that of the weights."""


def add_code(folder: str | Path) -> list[Path]:
    """Copy the code that a saved model and processor need into their folder, and name its classes in their configs.

        model.save_pretrained("out")
        processor.save_pretrained("out")
        add_code("out")

    Without this package, `AutoModel.from_pretrained("out", trust_remote_code=True)` then returns the model with its
    head, and `AutoProcessor` the processor; transformers and torch are enough. Where this package is imported, its own
    classes are loaded as before. Code that is there already is replaced.

    Args:
        folder: folder of a checkpoint, with config.json, processor_config.json or both.

    Returns:
        The copied files, among them the license of the code.

    Raises:
        DialogueError: there is no such folder, it holds neither a model nor a processor of this package, or its code
            is somebody else's.
    """
    folder = Path(folder)
    configs = {file: read_json(file) for file in (folder / name for name in _CLASSES) if file.is_file()}
    if not configs:
        raise DialogueError(f"{folder}: has none of {', '.join(_CLASSES)}; give a folder that a model was saved in")
    classes = {file: _CLASSES[file.name](config, file) for file, config in configs.items()}

    for cls in {cls for named in classes.values() for cls in named.values()}:
        _check_is_own(cls, folder)
    sources = {source for named in classes.values() for cls in named.values() for source in _files_of(cls)}
    copied = [Path(shutil.copyfile(source, folder / source.name)) for source in sorted(sources)]
    license_file = folder / LICENSE_FILE
    license_file.write_text(_license(), encoding="utf-8")
    for file, config in configs.items():
        config["auto_map"] = {auto: f"{_module_of(cls)}.{cls.__name__}" for auto, cls in classes[file].items()}
        write_json(dict(sorted(config.items())), file)
    return [*copied, license_file]


def _model_classes(config: dict[str, Any], file: Path) -> dict[str, type]:
    """Return Auto class -> class of the family; `AutoModel` gives the model with its head, as in this package."""
    family = family_of(config.get("model_type"), str(file))
    return {"AutoConfig": family.config_class, "AutoModel": family.model_class}


def _processor_classes(config: dict[str, Any], file: Path) -> dict[str, type]:
    processors = {family.processor_class.__name__: family.processor_class for family in FAMILIES.values()}
    processor = processors.get(config.get("processor_class"))
    if processor is None:
        known = ", ".join(processors)
        raise DialogueError(f"{file}: belongs to a {config.get('processor_class')!r}, expected one of {known}")
    return {"AutoProcessor": processor}


_CLASSES = {"config.json": _model_classes, "processor_config.json": _processor_classes}


def _check_is_own(cls: type, folder: Path) -> None:
    """Refuse a class from outside the package: its file would be published under the license of this package."""
    package = __name__.partition(".")[0]
    if cls.__module__.partition(".")[0] != package:
        raise DialogueError(
            f"{folder}: `with_code` copies the code of {package} and its license, and {cls.__name__} is defined in "
            f"{cls.__module__}; leave it out, and publish that code under a license of your own"
        )


def _files_of(cls: type) -> set[Path]:
    """Return the file that defines a class, and all that it imports relatively, directly or not."""
    file = inspect.getfile(cls)
    return {Path(file), *map(Path, get_relative_import_files(file))}


def _module_of(cls: type) -> str:
    return cls.__module__.rpartition(".")[2]


def _license() -> str:
    """Return the text that Apache-2.0 (section 4) requires wherever the code goes."""
    try:
        installed = distribution("joyful-hf").read_text("licenses/LICENSE")
    except PackageNotFoundError:
        installed = None  # the package is used from its source tree, where the license lies beside it
    return installed or (Path(str(files("joyful_hf"))).parent / "LICENSE").read_text(encoding="utf-8")
