"""House ceilings: no source file over 400 lines, no function over 60. `make check` runs this."""

import ast
import sys
from pathlib import Path

FILE_LINES, FUNCTION_LINES = 400, 60


def faults(path: Path) -> list[str]:
    """What in a Python file is over a ceiling, one line each."""
    text = path.read_text(encoding="utf-8")
    length = text.count("\n")
    found = [f"{path}: {length} lines, more than {FILE_LINES}"] if length > FILE_LINES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno and node.end_lineno - node.lineno >= FUNCTION_LINES:
            found.append(f"{path}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines, more than {FUNCTION_LINES}")
    return found


def main() -> int:
    """Prints all faults; 1 when there are any."""
    root = Path(__file__).parents[1]
    found = [fault for folder in ("src", "tests", "benchmarks") for path in sorted((root / folder).rglob("*.py")) for fault in faults(path)]
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
