"""The class that `config.model` names: "module.Class" of this package, or "module:Class" of the user's own module."""

import dataclasses
import importlib
import inspect
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from jaxgen.config.base import suggest
from jaxgen.models.base import GenerativeModel


def find_model_class(name: str) -> type[GenerativeModel]:
    """Returns the model class of that name.

    Args:
      name: "module.Class" for a module of `jaxgen.models`, such as "aae.ConditionalAAE"; "module:Class" for any module
        that Python finds, also in the current folder.

    Raises:
      ValueError: module or class is missing, the module fails, or the class is no complete model.
    """
    module_name, colon, class_name = name.partition(":")
    if colon:
        return _get_class(name, _import_user_module(name, module_name), class_name)
    module_name, _, class_name = name.partition(".")
    modules = [path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__"]
    if module_name not in modules:
        raise ValueError(
            f'model="{name}" is unknown: jaxgen/models has no module "{module_name}"{suggest(module_name, modules)}; '
            'write "module.Class" of jaxgen/models, for example --config.model=aae.ConditionalAAE, or "module:Class" '
            "of your own module"
        )
    return _get_class(name, importlib.import_module(f"jaxgen.models.{module_name}"), class_name)


def _import_user_module(name: str, module_name: str) -> ModuleType:
    """Imports a module from the current folder or from Python's path.

    The current folder stays at the end of the path, for imports inside of functions of the module.
    """
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ValueError(
            f'model="{name}" must be "module:Class" with the name of a Python module; write my_module:MyModel for '
            "the class MyModel in my_module.py"
        )
    folder, kept = os.getcwd(), [path for path in sys.path if path not in ("", os.getcwd())]
    _forget_module_of_another_folder(module_name, Path(folder))
    importlib.invalidate_caches()  # the file may be younger than Python's listing of its folder
    sys.path[:] = [folder, *kept]
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(_describe_failure(name, module_name, error)) from error
        raise ValueError(
            f'model="{name}": there is no module "{module_name}" in {folder} or on Python\'s path; start in the folder '
            f"of {module_name.split('.')[0]}.py, or set PYTHONPATH to that folder"
        ) from error
    except Exception as error:
        raise ValueError(_describe_failure(name, module_name, error)) from error
    finally:
        sys.path[:] = [*kept, folder]


def _forget_module_of_another_folder(module_name: str, folder: Path) -> None:
    """Removes an imported module if the current folder has another file of its name."""
    path = folder.joinpath(*module_name.split(".")).with_suffix(".py")
    loaded = sys.modules.get(module_name)
    if loaded is not None and path.is_file() and not path.samefile(getattr(loaded, "__file__", None) or folder):
        del sys.modules[module_name]


def _describe_failure(name: str, module_name: str, error: Exception) -> str:
    """Returns one line about an import that failed, with the innermost line of the user's file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else module_name
    if isinstance(error, SyntaxError):
        place = f"{Path(error.filename or module_name).name}, line {error.lineno}"
    reason = (error.msg if isinstance(error, SyntaxError) else str(error)).partition("\n")[0]
    return (
        f'model="{name}": the import of {module_name} failed with {type(error).__name__}: {reason} ({place}); correct '
        "that line"
    )


def _get_class(name: str, module: ModuleType, class_name: str) -> type[GenerativeModel]:
    """Returns a class of a module after checks that it is a complete model."""
    classes = [key for key, value in vars(module).items() if isinstance(value, type) and _is_model(value)]
    found = getattr(module, class_name, None) if class_name else None
    place = getattr(module, "__file__", None) or module.__name__
    if found is None:
        choices = f"its models are {', '.join(sorted(classes))}" if classes else "it defines no model"
        raise ValueError(
            f'model="{name}" is unknown: {place} has no class "{class_name}"{suggest(class_name, classes)}; {choices}'
        )
    if not (isinstance(found, type) and _is_model(found)):
        raise ValueError(
            f'model="{name}" must be a class derived from jaxgen.models.GenerativeModel; {class_name} in {place} is '
            f"{'a class of other bases' if isinstance(found, type) else f'of type {type(found).__name__}'}; "
            f"write class {class_name}(LatentVariableModel)"
        )
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise ValueError(f'model="{name}" lacks {missing}, which every model needs; define them in {place}')
    if not dataclasses.is_dataclass(found):
        raise ValueError(f'model="{name}" must be a dataclass; write @dataclasses.dataclass(frozen=True) above it')
    return found


def _is_model(value: type) -> bool:
    """Returns whether a class is a model, not one of the two interfaces."""
    return issubclass(value, GenerativeModel) and value.__module__ != GenerativeModel.__module__
