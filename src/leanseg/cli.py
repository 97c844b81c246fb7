"""The command line: one verb for each workflow, imported only when it is called."""

from __future__ import annotations

import dataclasses
import errno
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from leanseg import __version__
from leanseg.errors import LeansegError, UsageError

VERBS: dict[tuple[str, ...], tuple[str, str]] = {
    ("segment",): ("leanseg.workflows.segment:Segment", "Segment images: masks, overlays, a table and a report."),
    ("train",): ("leanseg.workflows.train:Train", "Train a model on a folder of images and masks."),
    ("evaluate",): ("leanseg.workflows.evaluate:Evaluate", "Score a model, compare two, or score masks of any tool."),
    ("estimate",): ("leanseg.workflows.estimate:Estimate", "Estimate how well a model does without labels."),
    ("export",): ("leanseg.workflows.export:Export", "Write a model for programs without leanseg."),
    ("data", "check"): ("leanseg.workflows.data:Check", "Find what would silently spoil a result."),
    ("data", "split"): ("leanseg.workflows.data:Split", "Split a dataset into train, val and test by patient."),
    ("data", "repair"): ("leanseg.workflows.data:Repair", "Copy a dataset with its masks repaired."),
    ("data", "review"): ("leanseg.workflows.review:Review", "List doubted labels and accept corrected ones."),
    ("data", "prepare"): ("leanseg.workflows.data:Prepare", "Turn a downloaded public dataset into a dataset folder."),
    ("demo",): ("leanseg.workflows.demo:Demo", "Segment the vessels of a real fundus photograph."),
    ("info",): ("leanseg.workflows.info:Info", "Say what a model, an image or a dataset is."),
}
"""Words of the command -> where its dataclass is, and one line of help."""

EXAMPLES = (
    "leanseg segment photo.jpg --model vessels --out results",
    "leanseg data check my-data",
    "leanseg train my-data --out run",
    "leanseg evaluate my-data --model run/model --out scores",
)

REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.ENOSPC)
"""Of a folder or a disk that takes no results; anything else that the system reports is a bug."""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: the words after ``leanseg``; by default those of the command line.

    Returns:
        The exit code: 0 all done, 1 nothing done, 2 wrong usage, 3 partly done, 130 interrupted.
    """
    words = list(sys.argv[1:] if args is None else args)
    try:
        return _dispatch(words)
    except UsageError as error:
        return _fail(str(error), 2)
    except LeansegError as error:
        return _fail(str(error), 1)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        found = f"{error.filename or 'the system'}: {error.strerror}"
        return _fail(f"{found}. See that you may read and write there, and that the disk has room", 1)
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"\nInterrupted. {stop}".rstrip() + "\n")
        return 130
    except SystemExit as done:  # tyro leaves this way after help and after a wrong option
        return done.code if isinstance(done.code, int) else 1


def _fail(words: str, code: int) -> int:
    sys.stderr.write(f"leanseg: {words}\n")
    return code


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        sys.stdout.write(f"leanseg {__version__}\n")
        return 0
    if not words or words[0] in ("-h", "--help", "help"):
        return _help((), asked=bool(words))
    for length in (1, 2):
        if tuple(words[:length]) in VERBS:
            return _run(tuple(words[:length]), words[length:])
    if any(verb[0] == words[0] for verb in VERBS):
        return _help((words[0],), asked=words[1:2] in (["-h"], ["--help"]))
    raise UsageError(f"no command {words[0]!r}; {_closest(words[0])}see: leanseg --help")


def _closest(word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, sorted({verb[0] for verb in VERBS}), n=1)
    return f"did you mean '{near[0]}'? Or " if near else ""


def _run(verb: tuple[str, ...], words: list[str]) -> int:
    """Parse the options of a verb and run it; a run answers with its exit code or with a result that has one."""
    module, name = VERBS[verb][0].split(":")
    kind = getattr(import_module(module), name)
    import tyro

    words, defaults = _take_config(kind, words)
    options: dict[str, Any] = {"default": defaults} if defaults is not None else {}
    command = tyro.cli(kind, prog=" ".join(("leanseg", *verb)), args=words, **options)
    result = command.run()
    return int(getattr(result, "exit_code", result if isinstance(result, int) else 0))


def _take_config(kind: type, words: list[str]) -> tuple[list[str], Any]:
    """Take ``--config FILE`` out of the words; its keys become defaults, which options given by hand override."""
    files: list[str] = []
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word == "--config":
            files.append(next(remaining, ""))
        elif word.startswith("--config="):
            files.append(word.removeprefix("--config="))
        else:
            rest.append(word)
    if not files:
        return rest, None
    if len(files) > 1 or not files[0]:
        raise UsageError("--config takes one file")

    import tyro

    from leanseg.workflows.config import fields_for, read_config

    given = fields_for(kind, read_config(Path(files[0])), where=files[0])
    # Made without __init__: what is still missing may come from the command line.
    defaults: Any = object.__new__(kind)
    for field in dataclasses.fields(kind):
        object.__setattr__(defaults, field.name, given.get(field.name, _default(field, tyro.MISSING)))
    return rest, defaults


def _default(field: dataclasses.Field[Any], missing: Any) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else missing


def _help(before: tuple[str, ...], *, asked: bool) -> int:
    """The commands in one screen, without importing any of them; on stderr when a command was missing."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 3, 0, 2))
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column()
    for verb, (_, words) in VERBS.items():
        if verb[: len(before)] == before:
            table.add_row(" ".join(verb), words)
    out = Console(highlight=False, stderr=not asked)
    out.print("[bold]leanseg[/]: medical image segmentation that asks for less.\n")
    out.print(f"Usage: leanseg {' '.join((*before, 'COMMAND'))} [OPTIONS]\n", markup=False)
    out.print(table)
    if not before:
        out.print("\nExamples:")
        for example in EXAMPLES:
            out.print(f"  {example}", style="green")
    out.print("\nleanseg COMMAND --help lists the options. --config FILE (JSON, TOML, YAML) gives options as keys.")
    out.print("For research; not a medical device.", style="dim")
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(main())
