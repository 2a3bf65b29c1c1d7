"""The command line: verbs only. Each parses its words, calls the house and prints.

Imports stand inside the verbs, so that `medglot --help` loads nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medglot.core.config import Machine
    from medglot.pipeline.recipe import Recipe

_INTERRUPTED = 130


def main(words: list[str] | None = None) -> int:
    """Runs one verb; returns its exit code: 0 done, 2 recipe wrong, 3 stale, 4 a stage failed."""
    arguments = _parser().parse_args(words)
    from medglot.core.errors import MedglotError

    try:
        return int(arguments.verb(arguments) or 0)
    except MedglotError as error:
        print(f"medglot: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"medglot: {error.filename or 'input or output'}: {error.strerror or error}; check path, permissions and free space", file=sys.stderr)
        return MedglotError.exit_code
    except KeyboardInterrupt:
        print("\nmedglot: stopped; the same command goes on from here", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="medglot", description="Build, train, measure and serve multilingual medical language models.")
    parser.add_argument("--version", action="version", version=f"medglot {_version()}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for name, function, text in (
        ("plan", _plan, "show what a run would do"),
        ("run", _run, "build what is not finished; run again after any interruption"),
        ("status", _status, "show which nodes are finished"),
        ("report", _report, "put the numbers of a run side by side"),
        ("check", _check, "check a recipe, and the files of finished nodes against their manifests"),
    ):
        verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        verb.set_defaults(verb=function)
        verb.add_argument("recipe", type=Path, help="a recipe, such as recipes/demo.toml")
        verb.add_argument("--runs", type=Path, default=Path("runs"), help="the folder of all runs (default: runs)")
        verb.add_argument("--set", action="append", default=[], metavar="STAGE.NODE.KEY=VALUE", help="override a setting; may be repeated")
        if name in ("plan", "run"):
            verb.add_argument("--rebuild", action="append", default=[], metavar="NODE", help="replace a finished node and what follows from it")
            verb.add_argument("--machine", type=Path, help="where to run: a file of machines/ (default: this machine)")
        if name == "run":
            verb.add_argument("--workers", type=int, help="processes of the data stages (default: one a core)")
    _add_list(verbs)
    _add_serve(verbs)
    return parser


def _add_list(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("list", help="list what there is: stages, languages, filters, sources, benchmarks, backends, launchers")
    verb.set_defaults(verb=_list)
    verb.add_argument("what", nargs="?", help="only one of these")


def _add_serve(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("serve", help="serve a model with an OpenAI-compatible interface")
    verb.set_defaults(verb=_serve)
    verb.add_argument("model", help="a node such as runs/demo/export, or a folder with a Hugging Face model")
    verb.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    verb.add_argument("--port", type=int, default=8000, help="port to listen on; 0 takes a free one (default: 8000)")
    verb.add_argument("--token-file", type=Path, help="file whose text clients must send as bearer token; needed beyond this machine")
    verb.add_argument("--max-tokens", type=int, default=1024, help="longest reply, in tokens (default: 1024)")
    verb.add_argument("--waiting", type=int, default=8, help="requests that may wait for the model (default: 8)")


def _version() -> str:
    from medglot import __version__

    return __version__


def _recipe(arguments: argparse.Namespace) -> Recipe:
    from medglot.pipeline.recipe import load_recipe

    return load_recipe(arguments.recipe, arguments.set)


def _machine(arguments: argparse.Namespace) -> Machine:
    from medglot.core.config import Machine, parse, read_toml

    data = read_toml(arguments.machine) if arguments.machine else {}
    if getattr(arguments, "workers", None) is not None:
        data["workers"] = arguments.workers
    return parse(Machine, data, where=str(arguments.machine or "--workers"), root=Path())


def _plan(arguments: argparse.Namespace) -> None:
    from medglot.pipeline.cost import cost_lines
    from medglot.pipeline.plan import plan_text
    from medglot.pipeline.run import make_plan

    recipe = _recipe(arguments)
    planned = make_plan(recipe, runs=arguments.runs, rebuild=frozenset(arguments.rebuild))
    print(plan_text(planned, costs=cost_lines(recipe, machine=_machine(arguments))))


def _run(arguments: argparse.Namespace) -> None:
    from medglot.pipeline.run import run

    run(
        _recipe(arguments),
        machine=_machine(arguments),
        runs=arguments.runs,
        rebuild=frozenset(arguments.rebuild),
        command=" ".join(["medglot", *sys.argv[1:]]),
        say=lambda line: print(line, flush=True),
    )


def _status(arguments: argparse.Namespace) -> None:
    from medglot.pipeline.status import status_text

    print(status_text(_recipe(arguments), runs=arguments.runs))


def _report(arguments: argparse.Namespace) -> None:
    from medglot.pipeline.report import report_text

    print(report_text(_recipe(arguments), runs=arguments.runs))


def _check(arguments: argparse.Namespace) -> int:
    from medglot.core.errors import StageError
    from medglot.pipeline.status import check

    faults = check(_recipe(arguments), runs=arguments.runs)
    for fault in faults:
        print(f"medglot: {fault}", file=sys.stderr)
    if not faults:
        print("all is well")
    return StageError.exit_code if faults else 0


def _list(arguments: argparse.Namespace) -> None:
    from medglot.pipeline.status import list_text

    print(list_text(arguments.what))


def _serve(arguments: argparse.Namespace) -> None:
    from medglot.serve.server import serve

    serve(
        arguments.model,
        host=arguments.host,
        port=arguments.port,
        token_file=arguments.token_file,
        max_tokens=arguments.max_tokens,
        waiting=arguments.waiting,
    )


if __name__ == "__main__":
    sys.exit(main())
