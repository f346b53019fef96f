"""Priors that a user chooses for a table: shares, those of another model, estimated, or from published number counts.

The classifier takes them as the ratio of a row's priors to those of the model (`xcat.classifier.posterior.classify`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xcat.arrays import FloatArray
from xcat.catalogues import number_counts
from xcat.classifier.model import Model
from xcat.classifier.priors import LEAST_PRIOR, estimate
from xcat.classifier.sample import Sample
from xcat.database import runs
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import ConfigError, XcatError

_SUM_WITHIN = 1e-6
_FEW_ROWS = 100
_HOW = (
    "Give a share for every class (AGN=.7,Star=.3), a pipeline, the number of a fit or classify run, estimate or counts"
)


@dataclass
class TablePriors:
    """The priors of a user's table, against those of a model.

    Attributes
    ----------
    model : Model
    kind : {"shares", "estimate", "counts"}
    shares : (K,) float64 or None
        Of the whole table; None before they are estimated, and for counts.
    messages : list of str
        What they are.
    """

    model: Model
    kind: str
    shares: FloatArray | None = None
    messages: list[str] = field(default_factory=list)
    _n_rows: int = 0
    _n_without_counts: int = 0

    def learn(self, p: FloatArray) -> None:
        """Estimate the shares from the posteriors of all rows, (N, K), computed with the model's priors."""
        self.shares = estimate(p, self.model.answer_priors) if len(p) else self.model.answer_priors
        few = f"; of {len(p):,} rows only, so they are rough" if len(p) < _FEW_ROWS else ""
        self.messages.append(f"priors estimated from the table's own rows: {self._listed(self.shares)}{few}")

    def ratio(
        self,
        sample: Sample,
        flux_std_cgs: FloatArray | None = None,
        abs_b_deg: FloatArray | None = None,
        glon_deg: FloatArray | None = None,
        log_nh: FloatArray | None = None,
    ) -> FloatArray:
        """Priors of every row over those of the model, (N, K); the kinds of a class keep their shares.

        Parameters
        ----------
        sample : Sample
            N rows, with the properties of the model.
        flux_std_cgs, abs_b_deg, glon_deg : (N,) float64, optional
            Needed for counts: flux in 0.2-12 keV, erg/(s cm2), distance from the galactic plane, and longitude. A row
            without flux or |b| keeps the priors of the model; without longitudes, counts are means over longitude.
        log_nh : (N,) float64, optional
            Galactic column, log cm-2, that absorbs AGN; by default that of a plane layer of gas.

        Raises
        ------
        ValueError
            The shares are to be estimated and have not been.
        """
        n = len(sample)
        if self.kind != "counts":
            if self.shares is None:
                raise ValueError("the shares have not been estimated yet: learn(p) first")
            of_all = (self.shares / self.model.answer_priors)[self.model.answer_index]
            return np.asarray(np.broadcast_to(of_all, (n, of_all.size)))
        missing = np.full(n, np.nan)
        flux = missing if flux_std_cgs is None else np.asarray(flux_std_cgs, dtype=np.float64)
        abs_b = missing if abs_b_deg is None else np.asarray(abs_b_deg, dtype=np.float64)
        used = np.flatnonzero(np.isfinite(flux) & (flux > 0) & np.isfinite(abs_b))
        self._n_rows += n
        self._n_without_counts += n - used.size
        place = [None if each is None else np.asarray(each)[used] for each in (glon_deg, log_nh)]
        density = number_counts.per_deg2_and_dex(
            self.model.answers, self.model.answer_priors, flux[used], abs_b[used], place[0], place[1]
        )
        columns = np.flatnonzero(number_counts.counted(self.model.answers))
        counts = density[:, columns]
        wanted = np.clip(counts / counts.sum(axis=1, keepdims=True), LEAST_PRIOR, 1.0)
        before = local_priors(self.model, sample)[used][:, columns]
        ratio = np.ones((n, len(self.model.answers)))
        ratio[np.ix_(used, columns)] = wanted * (before.sum(axis=1) / wanted.sum(axis=1))[:, None] / before
        return ratio[:, self.model.answer_index]

    def remarks(self) -> list[str]:
        """All messages, with the rows that `ratio` has left as they were."""
        lines = list(self.messages)
        if self._n_without_counts:
            lines.append(
                f"{self._n_without_counts:,} of {self._n_rows:,} rows have no flux: they keep the model's priors"
            )
        return lines

    def _listed(self, shares: FloatArray) -> str:
        return ", ".join(f"{c} {share:.3g}" for c, share in zip(self.model.answers, shares, strict=True))


def priors_of(conn: Connection, model: Model, text: str) -> TablePriors:
    """Read what a user gave as priors.

    Parameters
    ----------
    text : str
        ``AGN=.7,Star=.2,XRB=.08,CV=.02``; the name of a pipeline, or the number of a fit or classify run: the priors of
        its model; ``estimate``: learned from the table's own rows; ``counts``: by flux and place of the row, from
        published number counts.

    Raises
    ------
    ConfigError
        The shares are not those of all classes of the model, or do not add up to 1; the classes of the other model are
        not the same; the model has fewer than two classes with published counts.
    XcatError
        There is no such run or pipeline.
    """
    given = text.strip()
    if "=" in given:
        shares = _shares(model.answers, given)
    elif given == "estimate":
        return TablePriors(model, "estimate", messages=_sky_message(model))
    elif given == "counts":
        has_counts = number_counts.counted(model.answers)
        if sum(has_counts) < 2:
            known = ", ".join(dict.fromkeys(c for each in number_counts.populations() for c in each.classes))
            raise ConfigError(
                f"--priors counts: needs two classes with published number counts ({known}); "
                f"the model has {', '.join(model.answers)}"
            )
        about = [
            "priors by the flux and place of each row, from published number counts; a star's spectrum is softer than "
            "the power law that converts its flux, so in a sample selected below 2 keV stars are more than this",
            *(f"number counts of {line}" for line in number_counts.citations(model.answers)),
        ]
        others = [c for c, has in zip(model.answers, has_counts, strict=True) if not has]
        if others:
            about.append(f"no published number counts: {', '.join(others)} keep their share of the model's priors")
        return TablePriors(model, "counts", messages=about)
    else:
        run_id = _run_of(conn, given)
        rows = conn.execute(job("fit.priors").compose(), {"run_id": run_id}).fetchall()
        of_run = {name: float(prior) for name, prior in rows}
        if set(of_run) != set(model.answers):
            raise ConfigError(
                f"--priors {text}: the model of run {run_id} has the classes {', '.join(of_run)}; "
                f"this one has {', '.join(model.answers)}"
            )
        shares = np.array([of_run[c] for c in model.answers])
        shares /= shares.sum()
    priors = TablePriors(model, "shares", shares)
    of_run_text = "" if "=" in given else f" of the model of run {run_id}"
    priors.messages += [f"priors{of_run_text}: {priors._listed(shares)}", *_sky_message(model)]
    return priors


def local_priors(model: Model, sample: Sample) -> FloatArray:
    """Priors of every row by the model, (N, A): its own, or those that depend on two properties."""
    if not model.has_sky_prior:
        return np.asarray(np.broadcast_to(model.answer_priors, (len(sample), len(model.answers))))
    i, j = model.pair_columns[-1]
    term = model.pairs[-1].term(sample.scaled(int(i)), sample.scaled(int(j)))
    local = model.by_answer(model.priors * np.exp(term.astype(np.float64)))
    return np.asarray(local / local.sum(axis=1, keepdims=True))


def _sky_message(model: Model) -> list[str]:
    if not model.has_sky_prior:
        return []
    return [f"the model's priors vary with {' and '.join(model.pairs[-1].axes)}; they still do, about these shares"]


def _shares(classes: Sequence[str], text: str) -> FloatArray:
    """Shares as the user gave them, in the order of the classes."""
    by_key = {c.casefold(): c for c in classes}
    shares: dict[str, float] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, number = (each.strip() for each in part.partition("="))
        known = name if name in classes else by_key.get(name.casefold())
        if known is None:
            raise ConfigError(f"--priors {text}: the model has no class '{name}'; it has {', '.join(classes)}")
        if known in shares:
            raise ConfigError(f"--priors {text}: the class {known} comes twice")
        try:
            shares[known] = float(number)
        except ValueError:
            raise ConfigError(f"--priors {text}: the share of {known} is not a number: '{number}'") from None
        if not 0.0 < shares[known] <= 1.0:
            raise ConfigError(f"--priors {text}: the share of {known} must be above 0 and at most 1, got {number}")
    missing = [c for c in classes if c not in shares]
    if missing:
        raise ConfigError(f"--priors {text}: no share for {', '.join(missing)}. Give one for every class")
    total = sum(shares.values())
    if abs(total - 1.0) > _SUM_WITHIN:
        raise ConfigError(f"--priors {text}: the shares add up to {total:g}, not to 1")
    return np.array([shares[c] for c in classes]) / total


def _run_of(conn: Connection, given: str) -> int:
    """Fit run of a number or of the name of a pipeline."""
    if given.isascii() and given.isdecimal() and len(given) < 10:
        row = runs.get(conn, int(given))
        if row["kind"] not in ("fit", "classify") or row["status"] != "done":
            raise XcatError(
                f"--priors {given}: run {given} is a {row['kind']} run, {row['status']}; "
                "give a finished fit or classify run"
            )
        return int(row["run_id"] if row["kind"] == "fit" else row["model_run_id"])
    row_of_name = conn.execute(job("fit.newest").compose(), {"name": given}).fetchone()
    if row_of_name is None or row_of_name[0] is None:
        raise XcatError(
            f"--priors {given}: there is no finished fit of a pipeline of this name. {_HOW}. See: xcat runs"
        )
    return int(row_of_name[0])
