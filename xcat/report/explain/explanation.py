"""The parts of an explanation; every field is described where it stands, in its JSON order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xcat.arrays import FloatArray
from xcat.classifier.posterior import softmax
from xcat.output.reading import Row

Probabilities = dict[str, float]
"""Probability of each class."""


@dataclass(frozen=True)
class Term:
    """The evidence of one property, or of a pair of properties; everything in nats has the weights included."""

    property: str  #: name of the property; "a*b" for a pair
    category: str
    unit: str
    about: str
    axes: tuple[str, ...]  #: the two properties of a pair; empty otherwise
    #: Of a property: "value"; "limit" where there is only a lower limit; "missing", which is evidence of its own; "not
    #: observed" where no catalogue covers the position, and "no counterpart" where a flux ratio counts that: both
    #: contribute nothing. Of a pair: "value" where both properties have one, else "missing", which contributes nothing.
    state: str
    value: float | None
    error: float | None  #: one sigma, on the property's scale
    is_blurred: bool  #: the error is so large that the value was looked up in a blurred table
    limit: float | None  #: lower limit, where it was used
    #: "below" or "above" where the value lies outside the table: all classes lose alike there, and `log_likelihood` is
    #: taken at the end of the table
    beyond: str
    log_likelihood: dict[str, float]  #: of each class, in nats, without weights
    nats: float  #: contribution to the best class minus that to the runner-up
    odds: float  #: exp(nats), the factor on the odds between the two
    contributions: dict[str, float]  #: to the log score of each class, in nats, minus their mean over the classes


@dataclass(frozen=True)
class CategoryTotal:
    """The evidence of one category of properties; sums over its terms, as in `Term`."""

    category: str
    exponent: float | None  #: sharpness * alpha / sum of alpha; None where weights were fitted property by property
    log_likelihood: dict[str, float]
    nats: float
    odds: float
    class_without: str  #: most probable class without the category
    posterior_without: Probabilities


@dataclass(frozen=True)
class ClassThreshold:
    """The nearest value of a property at which another class becomes the most probable one."""

    property: str
    value: float  #: of the source
    direction: str  #: "below" or "above"
    threshold: float  #: the other class leads beyond this value
    to: str  #: the other class
    spreads: float  #: distance to the threshold, in standard deviations of the present class


@dataclass(frozen=True)
class WithoutProperty:
    """Class and probabilities if a property had not been observed."""

    property: str
    to: str
    posterior: Probabilities


@dataclass(frozen=True)
class SimilarSource:
    """A labelled source of the fit with similar evidence."""

    source_id: int
    name: str
    catalogue: str
    known_class: str
    out_of_fold: float  #: probability of its known class, from tables fitted without it
    distance_nats: float  #: distance between the contributions of all terms to all classes
    values: dict[str, float | None]  #: its properties; None where it has no value
    differs_in: tuple[str, ...]  #: terms that contribute most to the distance, largest first


@dataclass(frozen=True)
class Explanation:
    """The evidence of one source in one classify run.

    For a labelled source `posterior`, `best`, `second`, `margin`, `outlier`, `p_tail` and `is_outlier` are out of fold:
    from tables that were fitted without it. Everything else, from the prior to the hypotheses, is of the model that was
    fitted on all labelled sources.
    """

    run_id: int
    model_run_id: int
    source: Row  #: name, catalogue, position, flux and so on; units are those of the column registry
    classes: tuple[str, ...]
    prior: Probabilities
    log_prior: dict[str, float]  #: log score before any evidence: log of the prior, and the model's offset
    posterior: Probabilities
    #: probability of every kind of a class that has kinds, by the whole model: their sum is that of the class
    kinds: dict[str, Probabilities]
    is_out_of_fold: bool  #: whether the source is labelled
    fold: int | None  #: fold in which the source was held out, from 1
    n_folds: int | None
    posterior_in_sample: Probabilities | None  #: by the model fitted with the label; None for a source without label
    posterior_accepted: Probabilities  #: if the accepted counterpart, or none, is certain: the sum of the terms
    is_summed: bool  #: whether the posterior is the mean over counterpart hypotheses
    best: str  #: the most probable class
    second: str  #: the runner-up
    p_err: Probabilities | None  #: one sigma of each, over refits to the reweighted sample; None for an old model
    margin: float
    confidence: float | None  #: difference of the two largest probabilities over the sum of their errors
    stability: float | None  #: share of the refits with the same class
    outlier: float  #: decades by which the source is less likely than the most typical member of its class
    p_tail: float  #: fraction of the members of its class that are at least as extreme
    is_outlier: bool
    n_missing: int
    weighting: str  #: how the evidence is weighted, in words
    prior_nats: float  #: advantage of `best` over `second` in `log_prior`
    terms: tuple[Term, ...]  #: the properties, and after them the pairs; with the accepted counterpart
    categories: tuple[CategoryTotal, ...]
    changes: tuple[ClassThreshold, ...]  #: the closest first
    without: tuple[WithoutProperty, ...]  #: one for each property that was observed
    alike: tuple[SimilarSource, ...]  #: the most similar first
    counterparts: tuple[Row, ...]  #: best candidate of every catalogue
    #: Combinations of counterparts in all catalogues: "none" (rank 0), then the five most probable ones, each with its
    #: `members`, its `weight` in the mean and its `posterior`, the probabilities of the classes if it is true. Weight 0
    #: and no posterior: too improbable to be included. Empty for a run without hypotheses.
    hypotheses: tuple[Row, ...]
    rest: Row | None  #: `weight` and `posterior` of all other hypotheses together
    n_hypotheses: int  #: hypotheses that are kept, "none" not counted
    p_kept: float  #: sum of the probabilities of these and "none"; what was too improbable to keep is not in it
    #: The master source, with the `others`: its sources in other missions, or those that it may be identical to, each
    #: with `class`, `p_class` and `known_class`. `mission_rank` is 1 for the best measured source of a master source.
    master: Row | None
    labels: tuple[Row, ...]  #: entries of reference catalogues; one whose status is not "used" did not become a label

    @property
    def known_class(self) -> str | None:
        """Class in the literature, if it is undisputed."""
        return next((label["class"] for label in self.labels if label["status"] == "used"), None)

    @property
    def posterior_by_model(self) -> Probabilities:
        """Probability of each class by the whole model, whose terms, hypotheses and changes are listed."""
        return self.posterior if self.posterior_in_sample is None else self.posterior_in_sample

    @property
    def best_by_model(self) -> str:
        """The most probable class by the whole model; differs from `best` for some labelled sources."""
        return max(self.classes, key=lambda c: self.posterior_by_model[c])

    @property
    def counterpart_matters(self) -> bool:
        """Whether the mean over the hypotheses differs visibly from the posterior with the accepted counterpart."""
        return any(abs(self.posterior_by_model[c] - self.posterior_accepted[c]) >= 0.005 for c in self.classes)

    def track(self, terms: tuple[Term, ...] | None = None) -> FloatArray:
        """Probabilities after the prior and after each of the terms in turn, (terms + 1, K).

        After all terms, the default, they are `posterior_accepted`.
        """
        steps = [self.log_prior, *(term.contributions for term in (self.terms if terms is None else terms))]
        return softmax(np.cumsum([[step[c] for c in self.classes] for step in steps], axis=0))
