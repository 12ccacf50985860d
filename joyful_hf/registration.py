"""Make the families known to transformers' Auto classes and `pipeline`, and join the two rooms of the package.

Importing the Auto classes takes seconds, so nothing here imports them: each registration waits until somebody does,
and is made right after that. Where they have been imported already, it is made at once.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .families import FAMILIES, Family

_AUTO = "transformers.models.auto"


def register() -> None:
    """Register every family and the pipeline, now or as soon as the classes to register with are imported."""
    for family in FAMILIES.values():
        _register_classes(family)
    _after_import("transformers.pipelines", lambda: import_module(f"{__package__}.inference.pipeline"))
    _after_import(f"{__package__}.modeling.modeling_base", _join_models)
    _after_import(f"{__package__}.processing.processor_base", _join_processors)


def register_family(family: Family) -> None:
    """Add a family to those of the package: to every command and function, and to transformers' Auto classes.

    Raises:
        ValueError: another family has this name or this model type.
    """
    for other in FAMILIES.values():
        if other != family and (other.name == family.name or other.model_type == family.model_type):
            raise ValueError(f"there is a family {other.name!r} with model_type {other.model_type!r} already")
    FAMILIES[family.name] = family
    _register_classes(family)


def _register_classes(family: Family) -> None:
    """Make one family known to the Auto classes; `AutoModel` gives the model with its classifier."""

    def config() -> None:
        auto: Any = import_module(f"{_AUTO}.configuration_auto")
        auto.AutoConfig.register(family.model_type, family.config_class, exist_ok=True)

    def model() -> None:
        auto: Any = import_module(f"{_AUTO}.modeling_auto")
        auto.AutoModel.register(family.config_class, family.model_class, exist_ok=True)

    def processor() -> None:
        auto: Any = import_module(f"{_AUTO}.processing_auto")
        auto.AutoProcessor.register(family.config_class, family.processor_class, exist_ok=True)

    _after_import(f"{_AUTO}.configuration_auto", config)
    _after_import(f"{_AUTO}.modeling_auto", model)
    _after_import(f"{_AUTO}.processing_auto", processor)


# The two rooms may import neither each other nor this package: here they learn which error to raise, how to push.
def _join_models() -> None:
    from .modeling.modeling_base import EmotionRecognitionPreTrainedModel
    from .processing.dialogue_error import DialogueError

    EmotionRecognitionPreTrainedModel.batch_error = DialogueError
    EmotionRecognitionPreTrainedModel.pusher = _push_model


def _join_processors() -> None:
    from .processing.processor_base import EmotionRecognitionProcessor

    EmotionRecognitionProcessor.pusher = _push_processor


def _push_model(model: Any, repo_id: str, **kwargs: Any) -> Any:
    from .hub.push import push_model

    return push_model(model, repo_id, **kwargs)


def _push_processor(processor: Any, repo_id: str, **kwargs: Any) -> Any:
    from .hub.push import push_processor

    return push_processor(processor, repo_id, **kwargs)


_waiting: dict[str, list[Callable[[], object]]] = {}
"""Module -> what is to be done once it has been imported."""


def _after_import(module: str, action: Callable[[], object]) -> None:
    """Do something once a module has been imported: at once if it has been already."""
    if module in sys.modules:
        import_module(module)  # waits for another thread that is importing it
        action()
        return
    if not any(isinstance(finder, _ImportWatcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ImportWatcher())
    _waiting.setdefault(module, []).append(action)


class _ImportWatcher(MetaPathFinder):
    """Lets the other finders find a module that is waited for, and sees to it that the actions follow its import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _waiting:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _ActingLoader(spec.loader)
                return spec
        return None


class _ActingLoader(Loader):
    """A module's own loader, followed by the actions that wait for the module."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)  # whoever only looks for the module asks for its source or its path

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = module.__loader__ = self.loader  # `inspect` and `pkgutil` ask it for the source
        self.loader.exec_module(module)
        for action in _waiting.get(module.__name__, []):
            action()
        _waiting.pop(module.__name__, None)  # not before: an import that failed can be tried again
