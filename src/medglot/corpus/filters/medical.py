"""Tells medical text from other text by the keywords of its language.

Two measures of a text decide, as in MMedC (Nature Communications 2024, doi 10.1038/s41467-024-52417-z): how many different keywords it holds, and
which share of its characters they cover. Thresholds and keywords stand in the language's file.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medglot.corpus.filters.base import Filter, Verdict
from medglot.languages import load

if TYPE_CHECKING:
    from medglot.kernels.keywords import Matcher


class Medical(Filter):
    """Keeps what is medical, or with ``keep = "other"`` exactly the rest, as general text for a mixture.

    ``mode = "default"`` keeps a text that reaches both numbers of any one of the language's rules; ``"published"`` applies the thresholds of MMedC's
    published filter to the same keywords.
    """

    keep: Literal["medical", "other"] = "medical"
    mode: Literal["default", "published"] = "default"

    def judge(self, batch: pa.Table) -> Verdict:
        """Reason ``not-medical`` (or ``medical`` when the rest is kept); meta ``keywords`` and ``keyword_density``."""
        unique, density = np.zeros(len(batch), np.int64), np.zeros(len(batch))
        medical = np.zeros(len(batch), np.bool_)
        for code in pc.unique(batch["language"]).to_pylist():
            rows = np.flatnonzero(pc.equal(batch["language"], code).to_numpy())
            counts = matcher(code).count(batch["text"].take(pa.array(rows)))
            unique[rows], density[rows] = counts.unique, counts.density
            language = load(code)
            for rule in (language.published,) if self.mode == "published" else language.keywords.keep:
                medical[rows] |= (counts.unique >= rule.min_unique) & (counts.density >= rule.min_density)
        dropped = ~medical if self.keep == "medical" else medical
        return Verdict(
            reason=pc.if_else(pa.array(dropped), "not-medical" if self.keep == "medical" else "medical", pa.scalar(None, pa.string())),
            meta={"keywords": pa.array(unique).cast(pa.string()), "keyword_density": pa.array(np.round(density, 4)).cast(pa.string())},
            medical=pa.array(medical),
        )


@functools.cache
def matcher(code: str) -> Matcher:
    """The keyword matcher of a language, built once a process."""
    from medglot.kernels.keywords import Matcher  # a recipe is planned without Numba

    keywords = load(code).keywords
    return Matcher(keywords.patterns, boundaries=keywords.boundaries)
