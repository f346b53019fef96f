"""What `xcat.classifier.bootstrap.spread` computes for all replicates at once, a replicate after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xcat.classifier import Model, Sample
from xcat.classifier.posterior import _Terms, contribution, softmax


def in_replicates(model: Model, sample: Sample) -> Iterator[np.ndarray]:
    """Probabilities of the classes of the model, or of the kinds, in every replicate, (N, K) each."""
    assert model.replicates is not None
    rows, weight, source = sample.rows()
    look_up, terms = _Terms(model, rows), range(len(model.mixing))
    score = model.log_prior + sum(contribution(look_up(t)[0], model.mixing[t]) for t in terms)
    for b in range(model.replicates.size):
        change = model.replicates.offsets[:, b] + sum(
            model.replicates.terms[t][:, look_up.place(t), b].T.astype(float) for t in terms
        )
        yield np.stack([np.bincount(source, weight * each) for each in softmax(score + change).T], axis=1)
