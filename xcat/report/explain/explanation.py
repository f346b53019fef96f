"""The parts of an explanation."""

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
    """The evidence of one property, or of a pair of properties.

    Attributes
    ----------
    property : str
        Name of the property; "a*b" for a pair.
    category, unit, about : str
    axes : tuple of str
        The two properties of a pair; empty otherwise.
    state : str
        Of a property: "value"; "limit" where there is only a lower limit; "missing", which is evidence of its own;
        "not observed" where no catalogue covers the position, which contributes nothing. Of a pair: "value" where both
        properties have one, else "missing", which contributes nothing.
    value : float or None
    error : float or None
        One sigma, on the property's scale.
    is_blurred : bool
        The error is so large that the value was looked up in a blurred table.
    limit : float or None
        Lower limit, where it was used.
    beyond : str
        "below" or "above" where the value lies outside the table: all classes lose alike there, and
        `log_likelihood` is taken at the end of the table.
    log_likelihood : dict
        Log-likelihood of each class, in nats.
    nats : float
        Contribution to the best class minus that to the runner-up, weights included.
    odds : float
        exp(nats), the factor on the odds between the two.
    contributions : dict
        Contribution to the log score of each class, in nats, weights included, minus their mean over the classes.
    """

    property: str
    category: str
    unit: str
    about: str
    axes: tuple[str, ...]
    state: str
    value: float | None
    error: float | None
    is_blurred: bool
    limit: float | None
    beyond: str
    log_likelihood: dict[str, float]
    nats: float
    odds: float
    contributions: dict[str, float]


@dataclass(frozen=True)
class CategoryTotal:
    """The evidence of one category of properties; sums over its terms, as in `Term`.

    Attributes
    ----------
    exponent : float or None
        sharpness * alpha / sum of alpha; None where weights were fitted property by property.
    class_without : str
        Most probable class without the category.
    posterior_without : dict
        The probabilities then.
    """

    category: str
    exponent: float | None
    log_likelihood: dict[str, float]
    nats: float
    odds: float
    class_without: str
    posterior_without: Probabilities


@dataclass(frozen=True)
class ClassThreshold:
    """The nearest value of a property at which another class becomes the most probable one.

    Attributes
    ----------
    property : str
    value : float
        Value of the source.
    direction : str
        "below" or "above".
    threshold : float
        The other class leads beyond this value.
    to : str
        The other class.
    spreads : float
        Distance to the threshold, in standard deviations of the present class.
    """

    property: str
    value: float
    direction: str
    threshold: float
    to: str
    spreads: float


@dataclass(frozen=True)
class WithoutProperty:
    """Class and probabilities if a property had not been observed."""

    property: str
    to: str
    posterior: Probabilities


@dataclass(frozen=True)
class SimilarSource:
    """A labelled source of the fit with similar evidence.

    Attributes
    ----------
    source_id : int
    name, catalogue, known_class : str
    out_of_fold : float
        Probability of its known class, from tables fitted without it.
    distance_nats : float
        Distance between the contributions of all terms to all classes.
    values : dict
        Its properties; None where it has no value.
    differs_in : tuple of str
        Terms that contribute most to the distance, largest first.
    """

    source_id: int
    name: str
    catalogue: str
    known_class: str
    out_of_fold: float
    distance_nats: float
    values: dict[str, float | None]
    differs_in: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """The evidence of one source in one classify run.

    Attributes
    ----------
    run_id, model_run_id : int
    source : dict
        Its row: name, catalogue, position, flux and so on; units are those of the column registry.
    classes : tuple of str
    prior, posterior : dict
        Probability of each class. For a labelled source `posterior`, `best`, `second`, `margin`, `outlier`, `p_tail`
        and `is_outlier` are out of fold: from tables that were fitted without it.
    is_out_of_fold : bool
        Whether the source is labelled. Everything else, from the prior to the hypotheses, is of the model that was
        fitted on all labelled sources.
    fold, n_folds : int or None
        Fold in which the source was held out, from 1, and the number of folds.
    posterior_in_sample : dict or None
        Probability of each class by the model that was fitted with the label; None for a source without label.
    log_prior : dict
        Log score of each class before any evidence: log of the prior, and the model's offset.
    posterior_accepted : dict
        The probabilities if the accepted counterpart, or none, is certain: the sum of the terms.
    is_summed : bool
        Whether the posterior is the mean over counterpart hypotheses.
    best, second : str
        The most probable class and the runner-up.
    outlier : float
        Decades by which it is less likely than the most typical member of its class.
    p_tail : float
        Fraction of the members of its class that are at least as extreme.
    weighting : str
        How the evidence is weighted, in words.
    prior_nats : float
        Advantage of `best` over `second` in `log_prior`.
    terms : tuple of Term
        The properties, and after them the pairs; with the accepted counterpart.
    categories : tuple of CategoryTotal
    changes : tuple of ClassThreshold
        The closest first.
    without : tuple of WithoutProperty
        One for each property that was observed.
    alike : tuple of SimilarSource
        The most similar first.
    counterparts : tuple of dict
        Best candidate of every catalogue.
    hypotheses : tuple of dict
        Combinations of counterparts in all catalogues: "none" (rank 0), then the five most probable ones, each with
        its `members`, its `weight` in the mean and its `posterior`, the probabilities of the classes if it is true.
        Weight 0 and no posterior: too improbable to be included. Empty for a run without hypotheses.
    rest : dict or None
        `weight` and `posterior` of all other hypotheses together.
    n_hypotheses : int
        Hypotheses that are kept, "none" not counted.
    p_kept : float
        Sum of the probabilities of these and "none"; what was too improbable to keep is not in it.
    master : dict or None
        The master source, with the `others`: its sources in other missions, or those that it may be identical to.
    labels : tuple of dict
        Entries of reference catalogues; one with a status other than "used" did not become a label.
    """

    run_id: int
    model_run_id: int
    source: Row
    classes: tuple[str, ...]
    prior: Probabilities
    log_prior: dict[str, float]
    posterior: Probabilities
    is_out_of_fold: bool
    fold: int | None
    n_folds: int | None
    posterior_in_sample: Probabilities | None
    posterior_accepted: Probabilities
    is_summed: bool
    best: str
    second: str
    margin: float
    outlier: float
    p_tail: float
    is_outlier: bool
    n_missing: int
    weighting: str
    prior_nats: float
    terms: tuple[Term, ...]
    categories: tuple[CategoryTotal, ...]
    changes: tuple[ClassThreshold, ...]
    without: tuple[WithoutProperty, ...]
    alike: tuple[SimilarSource, ...]
    counterparts: tuple[Row, ...]
    hypotheses: tuple[Row, ...]
    rest: Row | None
    n_hypotheses: int
    p_kept: float
    master: Row | None
    labels: tuple[Row, ...]

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
