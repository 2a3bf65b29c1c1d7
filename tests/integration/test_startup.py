"""Planning every recipe in a fresh process loads nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "vllm", "ray", "numba", "peft")
PROBE = """
import sys
from medglot.cli import main
code = main(sys.argv[1:])
print("LOADED", sorted(set({heavy}) & set(sys.modules)))
sys.exit(code)
"""


def probe(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROBE.format(heavy=HEAVY), *words], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_a_recipe_is_planned_without_torch(recipe, tmp_path):
    result = probe("plan", str(recipe), "--runs", str(tmp_path))
    if "does not exist; paths are relative" in result.stderr:
        pytest.skip("the recipe's data is not here")
    assert result.returncode == 0, result.stderr
    assert "LOADED []" in result.stdout


def test_listing_loads_nothing_heavy():
    result = probe("list")
    assert result.returncode == 0, result.stderr
    assert "LOADED []" in result.stdout
    assert "stages: corpus, dedup" in result.stdout


def test_help_loads_only_the_command_line():
    code = "import sys; from medglot import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass\nprint('LOADED', sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = result.stdout.split("LOADED")[1]
    assert not any(f"'{name}'" in loaded for name in (*HEAVY, "pydantic", "numpy", "pyarrow"))
