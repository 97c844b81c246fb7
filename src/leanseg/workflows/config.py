"""The configuration of a run: read from a file, checked against the verb's dataclass, written beside its results."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from leanseg import __version__
from leanseg.errors import InputError, UsageError
from leanseg.images.atomic import replacing

RECORD = ("verb", "version")
"""What a config.json says besides the fields of its dataclass."""


def read_config(file: Path) -> dict[str, Any]:
    """Keys and values of a JSON, TOML or YAML file.

    Args:
        file: its ending names the format; YAML needs PyYAML, which comes with ``leanseg[train]``.

    Raises:
        InputError: the file does not open, is no mapping, or its format is not known.
    """
    readers: dict[str, Callable[[str], Any]] = {
        ".json": json.loads,
        ".toml": tomllib.loads,
        ".yaml": _read_yaml,
        ".yml": _read_yaml,
    }
    if file.suffix.lower() not in readers:
        raise InputError(file, f"expected a configuration in {', '.join(readers)}, found {file.suffix or 'no ending'}")
    try:
        content = readers[file.suffix.lower()](file.read_text(encoding="utf-8"))
    except ImportError as error:
        msg = "reading YAML needs PyYAML: pip install pyyaml, or write the configuration as JSON or TOML"
        raise InputError(file, msg) from error
    except OSError as error:
        raise InputError(file, f"cannot be read: {error.strerror}. Give an existing file.") from error
    except Exception as error:  # each format has its own error; all mean the same to the user
        raise InputError(file, f"is not valid {file.suffix[1:].upper()}: {error}") from error
    if not isinstance(content, dict):
        raise InputError(file, f"expected keys and values, found {type(content).__name__}")
    return {key.replace("-", "_"): value for key, value in content.items()}


def _read_yaml(text: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    return yaml.safe_load(text)


def fields_for(verb: type, given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Check names and types of a verb's options and turn plain values into what the dataclass holds.

    Args:
        verb: the dataclass.
        given: option -> plain value (text for paths, lists for tuples).
        where: what error messages call the origin, for instance the file's name.

    Raises:
        UsageError: an option is not known, or its value has the wrong type.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(kw_only=True)
        ... class Scan:
        ...     data: Path
        ...     limits: tuple[float, ...] = ()
        >>> fields_for(Scan, {"data": "eyes", "limits": [1, 2]}, where="scan.toml")
        {'data': PosixPath('eyes'), 'limits': (1.0, 2.0)}
    """
    name = verb.__name__.lower()
    if given.get("verb", name) != name:
        raise UsageError(f"{where}: written by 'leanseg {given['verb']}', it does not configure 'leanseg {name}'")
    known = get_type_hints(verb, include_extras=True)
    known = {field.name: known[field.name] for field in dataclasses.fields(verb) if field.init}
    options = {key: value for key, value in given.items() if key not in RECORD}
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(f"{where}: {name} has no option {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    checked = {}
    for key, value in options.items():
        try:
            checked[key] = _typed(value, known[key])
        except (TypeError, ValueError):
            expected = getattr(known[key], "__name__", None) or str(known[key]).replace("typing.", "")
            raise UsageError(f"{where}: {key} must be {expected}, found {value!r}") from None
    return checked


def run_with(verb: type, given: Mapping[str, Any]) -> Any:
    """Run a verb with options given in Python and return its result.

    Args:
        verb: the dataclass.
        given: option -> value.

    Raises:
        UsageError: an option is missing, not known, or has the wrong type.
    """
    where = f"leanseg.{verb.__name__.lower()}()"
    options = fields_for(verb, given, where=where)
    fields = [field for field in dataclasses.fields(verb) if field.init]
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    missing = [name for name in needed if name not in options]
    if missing:
        raise UsageError(f"{where} needs {', '.join(missing)}")
    return verb(**options).run()


def _typed(value: Any, hint: Any) -> Any:
    """The value as the type hint wants it.

    Raises:
        TypeError: it is something else.
    """
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or (isinstance(hint, type) and not origin and isinstance(value, hint) and type(value) is not bool):
        return value
    if origin is Annotated:
        return _typed(value, args[0])
    if origin in (Union, types.UnionType):
        return _first(value, args)
    if origin is Literal and value in args:
        return value
    if origin is tuple and isinstance(value, list | tuple):
        inner = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        return tuple(_typed(entry, kind) for entry, kind in zip(value, inner, strict=True))
    if origin is tuple and args[-1] is Ellipsis:  # one value where several could be
        return (_typed(value, args[0]),)
    if origin is dict and isinstance(value, dict):
        return {_typed(key, args[0]): _typed(entry, args[1]) for key, entry in value.items()}
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (hint is bool and isinstance(value, bool)) or (hint in (None, types.NoneType) and value is None):
        return value
    raise TypeError


def _first(value: Any, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        try:
            return _typed(value, hint)
        except (TypeError, ValueError):
            continue
    raise TypeError


def configuration(run: Any) -> dict[str, Any]:
    """Every option of a run in plain types, with the verb and the version of leanseg.

    Args:
        run: an instance of a verb's dataclass.
    """
    options = {field.name: plain(getattr(run, field.name)) for field in dataclasses.fields(run) if field.init}
    return {"verb": type(run).__name__.lower(), "version": __version__, **options}


def write_config(run: Any, folder: Path) -> Path:
    """Write ``config.json`` with every option, so that ``leanseg VERB --config`` repeats the run.

    Args:
        run: an instance of a verb's dataclass.
        folder: the run's folder.
    """
    file = folder / "config.json"
    with replacing(file) as part:
        part.write_text(json.dumps(configuration(run), indent=2) + "\n", encoding="utf-8")
    return file


def plain(value: Any) -> Any:
    """A value in types that JSON knows; paths become text."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
