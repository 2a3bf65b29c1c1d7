import json
import os
import signal
import subprocess
import sys
import time

import pytest

from medglot.cli import main
from medglot.core.artifact import read_artifact, verify
from medglot.core.config import Machine
from medglot.core.errors import RecipeError, StageError, StaleError
from medglot.pipeline.recipe import load_recipe
from medglot.pipeline.run import make_plan, run
from medglot.pipeline.status import check, status_text


def build(recipe_file, *overrides, rebuild=(), runs=None, workers=1):
    said = []
    recipe = load_recipe(recipe_file, overrides)
    run(recipe, machine=Machine(workers=workers), runs=runs or recipe_file.parent / "runs", rebuild=frozenset(rebuild), say=said.append)
    return said


def actions(recipe_file, *overrides, rebuild=()):
    planned = make_plan(load_recipe(recipe_file, overrides), runs=recipe_file.parent / "runs", rebuild=frozenset(rebuild))
    return {step.node.name: step.action for step in planned.steps}


def test_a_run_builds_every_node_and_a_second_reuses_all(recipe_file):
    assert set(actions(recipe_file).values()) == {"build"}
    build(recipe_file)
    assert (recipe_file.parent / "runs/small/third/lines.txt").read_text() == "one\ntwo\none\ntwo\none\ntwo\n" * 3
    assert build(recipe_file) == ["[1/3] first: reused", "[2/3] second: reused", "[3/3] third: reused"]


def test_scratch_does_not_survive_and_every_file_is_in_the_manifest(recipe_file):
    build(recipe_file)
    folder = recipe_file.parent / "runs/small/second"
    assert sorted(path.name for path in folder.iterdir()) == ["lines.txt", "manifest.json"]
    artifact = read_artifact(folder)
    assert artifact is not None
    assert list(artifact.manifest.files) == ["lines.txt"]
    assert verify(artifact) == []


def test_the_manifest_balances(recipe_file):
    build(recipe_file, 'lines.first.skip=["one"]')
    manifest = json.loads((recipe_file.parent / "runs/small/first/manifest.json").read_text())
    assert manifest["balance"] == {"read": 2, "kept": 1, "dropped": {"skipped": 1}, "quarantined": {}}


def test_two_roots_and_two_worker_counts_give_the_same_fingerprints(tmp_path, recipe_file):
    build(recipe_file)
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    for name in ("small.toml", "input.txt"):
        (other / name).write_bytes((recipe_file.parent / name).read_bytes())
    build(other / "small.toml", runs=tmp_path / "other-runs", workers=2)
    for node in ("first", "second", "third"):
        one = json.loads((recipe_file.parent / f"runs/small/{node}/manifest.json").read_text())
        two = json.loads((tmp_path / f"other-runs/small/{node}/manifest.json").read_text())
        assert (one["fingerprint"], one["files"], one["summary"]) == (two["fingerprint"], two["files"], two["summary"])


def test_a_changed_setting_is_refused_and_shown_field_by_field(recipe_file):
    build(recipe_file)
    with pytest.raises(StaleError, match=r"(?s)second was built from other settings.*times: 2 -> 4.*third.*--rebuild second"):
        build(recipe_file, "repeat.second.times=4")
    assert (recipe_file.parent / "runs/small/second/lines.txt").read_text() == "one\ntwo\n" * 2


def test_a_changed_input_file_is_seen(recipe_file):
    build(recipe_file)
    (recipe_file.parent / "input.txt").write_text("three\n")
    with pytest.raises(StaleError, match="source: content has changed"):
        build(recipe_file)


def test_rebuild_replaces_a_node_and_what_follows_from_it(recipe_file):
    build(recipe_file)
    build(recipe_file, "repeat.second.times=4", rebuild=["second"])
    assert (recipe_file.parent / "runs/small/third/lines.txt").read_text().count("\n") == 30
    assert set(actions(recipe_file, "repeat.second.times=4").values()) == {"reuse"}


def test_rebuilding_an_unknown_node_is_refused(recipe_file):
    with pytest.raises(RecipeError, match="--rebuild fourth: no such node"):
        build(recipe_file, rebuild=["fourth"])


def test_a_missing_input_names_key_and_path(recipe_file):
    (recipe_file.parent / "input.txt").unlink()
    with pytest.raises(RecipeError, match=r"lines\.first\.source: .*input\.txt does not exist"):
        build(recipe_file)


def test_a_failed_stage_keeps_its_traceback_and_the_finished_nodes(recipe_file):
    with pytest.raises(StageError, match="third: ZeroDivisionError: planned"):
        build(recipe_file, "repeat.third.fail=true")
    assert "ZeroDivisionError" in (recipe_file.parent / "runs/small/third/.error.txt").read_text()
    assert actions(recipe_file, "repeat.third.fail=true") == {"first": "reuse", "second": "reuse", "third": "resume"}
    assert "third   half-built" in status_text(load_recipe(recipe_file), runs=recipe_file.parent / "runs")
    with pytest.raises(StageError, match="third: repeat: more than 99 times; lower `times`"):
        build(recipe_file, "repeat.third.times=100")


def test_a_half_built_node_of_other_settings_is_wiped(recipe_file):
    with pytest.raises(StageError):
        build(recipe_file, "repeat.third.fail=true")
    (recipe_file.parent / "runs/small/third/left-over.txt").write_text("x")
    build(recipe_file)
    assert not (recipe_file.parent / "runs/small/third/left-over.txt").exists()


def test_a_changed_file_is_found_by_check(recipe_file):
    build(recipe_file)
    recipe, runs = load_recipe(recipe_file), recipe_file.parent / "runs"
    assert check(recipe, runs=runs) == []
    (runs / "small/second/lines.txt").write_text("tampered")
    (runs / "small/third/lines.txt").unlink()
    assert check(recipe, runs=runs) == ["second: lines.txt was changed after the node was finished", "third: lines.txt is missing"]


def test_a_second_run_in_the_same_folder_is_kept_out(recipe_file):
    lock = recipe_file.parent / "runs/small/.lock"
    lock.parent.mkdir(parents=True)
    code = f"import fcntl,time; f=open({str(lock)!r},'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StageError, match="another medglot run is at work here"):
            build(recipe_file)
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    time.sleep(0.05)
    build(recipe_file)


def test_a_run_says_what_was_set_aside_and_what_a_stage_notes(recipe_file):
    (recipe_file.parent / "input.txt").write_text("one\n\n\n")
    said = build(recipe_file, 'lines.first.skip=["one"]', "lines.first.prefix=0123456789x")
    folder = recipe_file.parent / "runs/small/first/quarantine"
    assert said[2:5] == [
        f"  quarantined 2 of 3 rows (empty-line 2): see {folder}",
        "  nothing was kept: dropped 1 rows (skipped 1)",
        "  the prefix is long",
    ]
    assert said[5].startswith("[2/3]")


def test_an_unknown_launcher_names_the_key(recipe_file):
    with pytest.raises(RecipeError, match=r"launcher: 'slurm' is not in medglot\.launch: choose one of local"):
        run(load_recipe(recipe_file), machine=Machine(launcher="slurm"), runs=recipe_file.parent / "runs")


@pytest.mark.parametrize("verb", ["plan", "run", "status", "report", "check"])
def test_a_runs_folder_that_is_a_file_is_told_without_a_traceback(recipe_file, capsys, verb):
    (recipe_file.parent / "file").write_text("")
    assert main([verb, str(recipe_file), "--runs", str(recipe_file.parent / "file")]) == 4
    assert "Not a directory; check path, permissions and free space" in capsys.readouterr().err


def test_a_damaged_manifest_is_mended_as_its_message_says(recipe_file):
    build(recipe_file)
    file = recipe_file.parent / "runs/small/second/manifest.json"
    file.write_text("{torn")
    with pytest.raises(StageError, match=r"second/manifest\.json: not a manifest .*delete this file and run again"):
        build(recipe_file)
    file.unlink()
    assert [line.partition(": ")[2] for line in build(recipe_file) if "done" not in line] == ["reused", "repeat", "reused"]
