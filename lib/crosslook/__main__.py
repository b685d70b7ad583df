"""Command line: `python -m crosslook run NOTEBOOK -p name value ...` and `python -m crosslook book`."""

import argparse
import sys


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m crosslook", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="run a notebook with parameters; keep the executed copy and its results")
    run.add_argument("notebook", help="path of the notebook")
    run.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="may be repeated"
    )
    run.add_argument("-o", "--out", help="path of the executed copy (default build/runs/NAME.ipynb)")

    parameters = commands.add_parser("parameters", help="list the parameters of a notebook")
    parameters.add_argument("notebook", help="path of the notebook")

    book = commands.add_parser(
        "book", help="execute what changed and build the book; prints the path of its first page"
    )
    book.add_argument(
        "--tier", default="small", choices=("tiny", "small", "full"), help="how much the notebooks compute"
    )
    return top


def main(arguments: list[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    from crosslook.run import NotebookError, ParameterError

    try:
        return {"run": _run, "parameters": _parameters, "book": _book}[given.command](given)
    except (NotebookError, ParameterError, FileNotFoundError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(given: argparse.Namespace) -> int:
    from crosslook.run import parse, run

    done = run(given.notebook, parse(given.notebook, dict(given.parameter)), given.out)
    for result in done.results:
        low, high = result["interval"]
        print(f"{result['name']}: {result['value']:.3g} [{low:.3g}, {high:.3g}], n = {result['n']:,}")
    print(f"executed copy: {done.notebook}\nresults:       {done.results_path}")
    return 0


def _parameters(given: argparse.Namespace) -> int:
    from crosslook.run import parameters

    for item in parameters(given.notebook).values():
        kinds = " | ".join(kind.__name__ for kind in item.types)
        print(f"{item.name}: {kinds} = {item.default!r}" + (f"  # {item.help}" if item.help else ""))
    return 0


def _book(given: argparse.Namespace) -> int:
    from crosslook.book import build

    print(build(given.tier))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
