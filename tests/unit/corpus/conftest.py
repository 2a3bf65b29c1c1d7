"""A stage context without the launcher: shards run one after another here, in the order a test asks for."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from medglot.core.artifact import Artifact, Manifest
from medglot.core.config import Machine, parse
from medglot.core.records import Document
from medglot.core.rows import read_documents, write_documents
from medglot.core.shards import finished_row, run_shard
from medglot.core.stage import StageContext
from medglot.corpus import build, decontaminate, dedup
from medglot.corpus.settings import CorpusSettings, DecontaminateSettings, DedupSettings


@dataclass
class Stages:
    """Builds stages in folders below `root`."""

    root: Path
    backwards: bool = False
    killed_after: int | None = None
    done: list[str] = field(default_factory=list)

    def map_shards(self, function, shards, *, out, title):  # noqa: ARG002
        for shard in reversed(shards) if self.backwards else shards:
            if finished_row(out, shard.name) is None:
                if self.killed_after is not None and len(self.done) >= self.killed_after:
                    raise KeyboardInterrupt
                run_shard(function, shard, out)
                self.done.append(shard.name)
        return [finished_row(out, shard.name) for shard in shards]

    def context(self, name, **inputs):
        out = self.root / name
        out.mkdir(exist_ok=True)
        return StageContext(out, {role: tuple(artifacts) for role, artifacts in inputs.items()}, Machine(), self.map_shards)

    def artifact(self, name):
        return Artifact(name, self.root / name, Manifest("any", "documents", 1, "", {}, {}, {}, {}, None, {}))

    def corpus(self, name="corpus", **settings):
        return build.build(parse(CorpusSettings, settings, where="corpus", root=self.root), self.context(name))

    def dedup(self, *inputs, name="dedup"):
        return dedup.build(DedupSettings(), self.context(name, documents=[self.artifact(source) for source in inputs]))

    def decontaminate(self, *inputs, questions, name="clean", **settings):
        context = self.context(name, documents=[self.artifact(source) for source in inputs], questions=[self.artifact(questions)])
        return decontaminate.build(DecontaminateSettings(**settings), context)

    def documents(self, name="corpus"):
        return [document for path in sorted((self.root / name).glob("documents-*.parquet")) for document in read_documents(path)]

    def write(self, name, documents, *, shard="00000"):
        (self.root / name).mkdir(exist_ok=True)
        write_documents(self.root / name / f"documents-{shard}.parquet", documents)

    def bytes(self, name):
        files = [path for path in sorted((self.root / name).rglob("*")) if path.is_file()]
        names = [path.relative_to(self.root / name) for path in files]
        return {
            str(place): path.read_bytes() for place, path in zip(names, files, strict=True) if not any(part.startswith(".") for part in place.parts)
        }


@pytest.fixture
def stages(tmp_path):
    return Stages(tmp_path)


@pytest.fixture
def document():
    def make(name, text, *, language="en", source="test"):
        return Document(f"{source}:{name}", text, language, source, "CC0-1.0")

    return make
