"""Classifications as columns of the database, with class names instead of numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray
from xcat.classifier.model import Model
from xcat.classifier.posterior import LEAST_P_TAIL, Classification


def columns(model: Model, result: Classification, is_classifiable: NDArray[np.bool_]) -> dict[str, np.ndarray]:
    """Columns that the tables classification and out_of_fold share, for COPY; `is_classifiable` has the shape (N,)."""
    names = np.array([name.encode() for name in model.answers])
    return {
        "class": names[result.class_index],
        "p": probabilities(result.p),
        "p_err": result.p_err.astype(np.float32),
        "margin": probabilities(result.margin),
        "confidence": result.confidence.astype(np.float32),
        "stability": probabilities(result.stability),
        "outlier": result.outlier.astype(np.float32),
        "p_tail": probabilities(result.p_tail),
        "is_outlier": result.p_tail < LEAST_P_TAIL,
        "familiarity": probabilities(result.familiarity),
        "n_missing": result.n_missing.astype(np.int16),
        # a masked array without a mask: an empty text is a value here, not NULL
        "alternative": np.ma.MaskedArray(alternatives(model, result)),
        "is_classifiable": is_classifiable,
        "evidence": result.evidence.reshape(len(result.p), -1),
    }


def probabilities(p: FloatArray) -> NDArray[np.float32]:
    """Probabilities as the database holds them."""
    # rounding to float32 can raise a probability above 1, which the table's CHECK refuses
    return np.clip(p, 0, 1).astype(np.float32)


def alternatives(model: Model, result: Classification) -> NDArray[np.bytes_]:
    """Classes that win when a category is dropped: "category:class category:class", empty if the class never changes.

    Shape (N,), bytes in UTF-8.
    """
    # few combinations of classes occur: each text is made once, and every source has the index of its combination
    classes = np.column_stack([result.class_index, result.class_without])
    shape = (len(model.answers),) * classes.shape[1]
    combination, of_source = np.unique(np.ravel_multi_index(tuple(classes.T), shape), return_inverse=True)
    texts = [
        " ".join(
            f"{category}:{model.answers[other]}"
            for category, other in zip(model.categories, without, strict=True)
            if other != best
        )
        for best, *without in zip(*np.unravel_index(combination, shape), strict=True)
    ]
    return np.array([text.encode() for text in texts], dtype=np.bytes_)[of_source]
