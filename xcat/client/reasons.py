"""A source explained by what is published of it."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from xcat.output.terminal import show

_EVIDENCE_LINES = 12


class RemoteReasons:
    """Why a source has its class, as far as the published tables say it: ``print`` it for the text.

    Attributes
    ----------
    source : Table
        Its row of ``pub.classified``.
    probabilities : dict
        Posterior probability by class.
    evidence : Table
        Natural-log likelihood of every property in every class, and its advantage over the mean of the classes.
    counterparts, hypotheses : Table
        Accepted counterparts; what the source may be in all catalogues together.
    """

    def __init__(
        self, source: Table, probabilities: dict[str, float], evidence: Table, counterparts: Table, hypotheses: Table
    ) -> None:
        self.source, self.probabilities, self.evidence = source, probabilities, evidence
        self.counterparts, self.hypotheses = counterparts, hypotheses

    def for_class(self, class_name: str | None = None) -> Table:
        """The properties by their advantage for a class, the largest first; by default for the class of the source."""
        own = class_name or str(self.source["class"][0])
        rows = self.evidence[self.evidence["class"] == own]
        return rows[np.argsort(-np.ma.filled(np.ma.asarray(rows["advantage"]), -np.inf), kind="stable")]

    def __str__(self) -> str:
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        lines = [
            f"{self.source['name'][0]}: {self.source['class'][0]}",
            ", ".join(f"{name} {p:.3f}" for name, p in ranked),
            f"what speaks for {self.source['class'][0]}, in nats above the mean of the classes:",
            show(self.for_class()["property", "category", "advantage"], _EVIDENCE_LINES, 100),
        ]
        if len(self.counterparts):
            lines += [
                "counterparts:",
                show(self.counterparts["catalogue", "native_id", "sep_arcsec", "p_any"], 20, 100),
            ]
        return "\n".join(lines)

    __repr__ = __str__
