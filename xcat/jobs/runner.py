"""Runs a pipeline stage by stage, and skips what is done already.

A stage's key is made of its part of the configuration, the checksums of the files and the numbers of the runs that it
reads. A finished run with the same key is used again; so a pipeline resumes where it stopped, and a changed weight
does not repeat the match.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.loaded import Loaded
from xcat.database.runs import Run, find_done, note_stages, stage
from xcat.database.sqlfiles import dicts, job
from xcat.errors import StageError
from xcat.ingest.load import Loading, checksum, ingest, loaded_files
from xcat.jobs import stages
from xcat.jobs.classes import rules
from xcat.jobs.labels import label_stage
from xcat.jobs.pipeline import Plan, frozen
from xcat.jobs.publishing import publish
from xcat.match.stage import match_stage
from xcat.merge.links import link_stage
from xcat.merge.sources import merge_stage
from xcat.properties.compute import properties_stage

STAGES = ("ingest", "merge", "link", "match", "properties", "label", "fit", "classify", "publish")


class Listener:
    """Told what a pipeline does; the default says nothing."""

    def loaded(self, catalogue: str, loading: Loading) -> None:
        """A catalogue has been loaded, or was there already."""

    def finished(self, kind: str, run_id: int, summary: dict[str, Any] | None) -> None:
        """A stage has ended; without a summary it had been done before."""


@dataclass
class Runner:
    """A pipeline at work.

    Parameters
    ----------
    settings : Settings
    plan : Plan
    replace : bool
        Load the files of a catalogue that holds others in their place.
    listener : Listener
    """

    settings: Settings
    plan: Plan
    replace: bool = False
    listener: Listener = field(default_factory=Listener)
    pipeline_run_id: int | None = None
    runs: dict[str, int] = field(default_factory=dict)
    versions: dict[str, Loaded] = field(default_factory=dict)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def run(self, only: str | None = None, to: str | None = None) -> dict[str, int]:
        """Run the whole line, or one stage on what the stages before it have done, or the stages up to one.

        Returns
        -------
        dict
            Stage to run number.

        Raises
        ------
        StageError
            A stage before the only one has not been run.
        """
        last = only or to
        wanted = STAGES[: STAGES.index(last) + 1] if last else STAGES
        if last is None and not self.plan.pipeline.publish:
            wanted = wanted[:-1]
        if not self.plan.of("references"):  # nothing to learn classes from
            wanted = wanted[: STAGES.index("label")]
            if last not in (None, *wanted):
                raise StageError(f"the pipeline names no references and classes, which the stage '{last}' needs.")
        for kind in wanted:
            step: Callable[[bool], None] = getattr(self, f"_{kind}")
            step(only in (None, kind))
            if self.pipeline_run_id is not None:
                with ready(self.settings) as conn:
                    note_stages(conn, self.pipeline_run_id, self.runs)
        return self.runs

    def run_as_pipeline(self, to: str | None = None) -> dict[str, int]:
        """Run the whole line, or the stages up to one, under a run of kind ``pipeline``."""
        with stage(self.settings, "pipeline", self.plan.pipeline.name, frozen(self.plan.pipeline)) as run:
            self.pipeline_run_id = run.run_id
            run.summary["runs"] = self.run(to=to)
        return self.runs

    # --- the stages, in order -----------------------------------------------------------------------------

    def _ingest(self, may_run: bool) -> None:
        for definition in self.plan.definitions.values():
            name, paths = definition.name, self.plan.files[definition.name]
            with ready(self.settings) as conn:
                there = {row["sha256"]: row["file_name"] for row in loaded_files(conn, name)}
            if not paths and there:
                continue
            if not paths or not (may_run or there):
                raise StageError(f"{name}: nothing is loaded yet. Run: xcat ingest {name} FILE...")
            given = {checksum(path).sha256 for path in paths}
            others = [file for digest, file in there.items() if digest not in given]
            if others and not self.replace:
                raise StageError(
                    f"{name} holds files that the pipeline does not name: {', '.join(others)}. "
                    "Replace them with --replace, or use another database (XCAT_HOME)."
                )
            if may_run:
                loading = ingest(
                    self.settings, definition, paths, replace=self.replace,
                    pipeline_run_id=self.pipeline_run_id,
                )  # fmt: skip
                self.listener.loaded(name, loading)
        with ready(self.settings) as conn:  # all stages read these versions, whatever is loaded meanwhile
            for definition in self.plan.definitions.values():
                row = conn.execute(job("ingest.catalogue").compose(), {"name": definition.name}).fetchone()
                if row is None:
                    raise StageError(f"{definition.name}: nothing is loaded yet.")
                self.versions[definition.name] = Loaded(row[0], definition)
                self.files[definition.name] = loaded_files(conn, definition.name)

    def _merge(self, may_run: bool) -> None:
        config = {"xray": self._contents("xray")}
        body = partial(merge_stage, xray=self._loaded("xray"))
        self._stage("merge", may_run, config, body, ("xray",))

    def _link(self, may_run: bool) -> None:
        lineage = {"source_run_id": self.runs["merge"]}
        config = {**lineage, "xray": self._contents("xray")}

        def body(run: Run) -> None:
            with ready(self.settings) as conn:
                values = {"kind": "link", "name": self.plan.pipeline.name}
                row = conn.execute(job("runs.last_done").compose(), values).fetchone()
            link_stage(run, self.runs["merge"], self._loaded("xray"), row[0] if row else None)

        self._stage("link", may_run, config, body, ("xray",), **lineage)

    def _match(self, may_run: bool) -> None:
        pipeline = self.plan.pipeline
        inputs = dict(
            zip((d.name for d in self.plan.of("counterparts")), pipeline.counterparts, strict=True)
        )  # a definition named by its path has another name than the path
        completeness = {name: c.completeness for name, c in inputs.items() if c.completeness is not None}
        magnitudes = {name: list(c.magnitudes) for name, c in inputs.items() if c.magnitudes is not None}
        options = pipeline.match.model_dump()
        config = {
            "source_run_id": self.runs["merge"],
            "counterparts": self._contents("counterparts"),  # p_any depends on their order, a little
            "completeness": completeness,
            "magnitudes": magnitudes,
            **options,
        }
        body = partial(
            match_stage,
            source_run_id=self.runs["merge"],
            xray=self._loaded("xray"),
            counterparts=self._loaded("counterparts"),
            completeness=completeness,
            magnitudes=magnitudes,
            **options,
        )
        self._stage("match", may_run, config, body, ("counterparts",), source_run_id=self.runs["merge"])

    def _properties(self, may_run: bool) -> None:
        runs = self._before()
        config = {
            **runs,
            "counterparts": self._contents("counterparts"),
            "galaxies": self._contents("galaxies"),
        }
        counterparts, galaxies = self._loaded("counterparts"), self._loaded("galaxies")

        def body(run: Run) -> None:
            properties_stage(run, **runs, counterparts=counterparts, galaxies=galaxies)

        self._stage("properties", may_run, config, body, ("counterparts", "galaxies"), **runs)

    def _label(self, may_run: bool) -> None:
        classes = self.plan.pipeline.classes
        lineage = {"source_run_id": self.runs["merge"]}
        groups: tuple[str, ...] = ("references",)
        if any(rule.is_of_place for rule in classes.values()):
            lineage["property_run_id"] = self.runs["properties"]
            groups = ("references", "galaxies")
        config = {
            **lineage,
            "references": self._contents("references"),
            "classes": rules(classes),
        }
        body = partial(
            label_stage,
            source_run_id=self.runs["merge"],
            references=self._loaded("references"),
            classes=classes,
            property_run_id=lineage.get("property_run_id"),
            galaxies=self._loaded("galaxies"),
        )
        self._stage("label", may_run, config, body, groups, **lineage)

    def _fit(self, may_run: bool) -> None:
        pipeline = self.plan.pipeline
        config = {
            "source_run_id": self.runs["merge"],
            "property_run_id": self.runs["properties"],
            "label_run_id": self.runs["label"],
            # pairs, since the order of the classes matters and JSON objects are compared sorted
            "classes": [list(item) for item in pipeline.class_priors.items()],
            "properties": [p.name for p in pipeline.property_list],
            "pairs": [list(pair) for pair in pipeline.pairs],
            **pipeline.sample_options,
            "weights": pipeline.weights,
            "objective": pipeline.objective,
            "sharpness": pipeline.sharpness,
            "priors": pipeline.priors,
            "folds": pipeline.folds,
            "seed": pipeline.seed,
        }
        body = partial(stages.fit_stage, pipeline=pipeline, runs=dict(self.runs))
        self._stage("fit", may_run, config, body, (), **self._before("properties", "label"))

    def _classify(self, may_run: bool) -> None:
        lineage = self._before("properties", "label", "fit")
        runs = {
            "property_run_id": self.runs["properties"],
            "label_run_id": self.runs["label"],
            "model_run_id": self.runs["fit"],
        }
        best_match = self.plan.pipeline.best_match

        def body(run: Run) -> None:
            stages.classify_stage(run, **runs, best_match=best_match)

        self._stage("classify", may_run, {**runs, "best_match": best_match}, body, (), **lineage)

    def _publish(self, may_run: bool) -> None:
        with ready(self.settings) as conn:
            shown = conn.execute(job("classify.published").compose()).fetchone()
            done = find_done(conn, "publish", {"classify_run_id": self.runs["classify"]})
        if done is not None and shown is not None and shown[0] == self.runs["classify"]:
            self.runs["publish"] = done
            self.listener.finished("publish", done, None)
            return
        self.runs["publish"] = publish(self.settings, self.runs["classify"], self.pipeline_run_id)
        self.listener.finished("publish", self.runs["publish"], {})

    # --- helpers ------------------------------------------------------------------------------------------

    def _stage(
        self,
        kind: str,
        may_run: bool,
        config: dict[str, Any],
        body: Callable[[Run], None],
        groups: tuple[str, ...] = (),
        **lineage: int | None,
    ) -> None:
        """Run a stage, or find that it has been run; `groups` are the catalogues that it reads."""
        with ready(self.settings) as conn:
            done = find_done(conn, kind, config)
        if done is not None:
            self.runs[kind] = done
            self.listener.finished(kind, done, None)
            return
        if not may_run:
            raise StageError(
                f"the stage '{kind}' of this pipeline has not been run. Run: xcat run PIPELINE --only {kind}"
            )
        read = [loaded for group in groups for loaded in self._loaded(group)]
        with stage(
            self.settings, kind, self.plan.pipeline.name, config, inputs=self._inputs(*groups),
            catalogues=[loaded.catalogue_id for loaded in read], pipeline_run_id=self.pipeline_run_id, **lineage,
        ) as run:  # fmt: skip
            self._check_unchanged(run, read)
            body(run)
        self.runs[kind] = run.run_id
        self.listener.finished(kind, run.run_id, run.summary)

    def _check_unchanged(self, run: Run, read: list[Loaded]) -> None:
        """Refuse versions that were added to between the look at their files and the entry of this run as a reader."""
        for loaded in read:
            name = loaded.definition.name
            values = {"catalogue_id": loaded.catalogue_id}
            now = dicts(run.conn.execute(job("ingest.files_of_version").compose(), values))
            if {row["sha256"] for row in now} != {row["sha256"] for row in self.files[name]}:
                raise StageError(f"{name}: files were added just before it was to be read. Run the pipeline again.")

    def _before(self, *kinds: str) -> dict[str, int]:
        """Lineage columns of a run that reads these stages, and what they read."""
        column = {"properties": "property_run_id", "label": "label_run_id", "fit": "model_run_id"}
        return {
            "source_run_id": self.runs["merge"],
            "link_run_id": self.runs["link"],
            "match_run_id": self.runs["match"],
            **{column[kind]: self.runs[kind] for kind in kinds},
        }

    def _loaded(self, group: str) -> list[Loaded]:
        return [self.versions[definition.name] for definition in self.plan.of(group)]

    def _inputs(self, *groups: str) -> dict[str, Any]:
        """Catalogues that a stage reads, with files, checksums and row counts, for its row in ``run``."""
        return {definition.name: self.files[definition.name] for group in groups for definition in self.plan.of(group)}

    def _contents(self, group: str) -> list[dict[str, Any]]:
        """What a stage reads of a group: definitions and files, by checksum."""
        return [
            {
                "catalogue": definition.name,
                "definition_sha256": definition.sha256,
                "files": sorted(row["sha256"] for row in self.files[definition.name]),
            }
            for definition in self.plan.of(group)
        ]
