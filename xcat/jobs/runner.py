"""Runs a pipeline stage by stage, and skips stages that are done already.

A stage's key is made of its part of the pipeline file, the checksums of the files and the numbers of the runs that it
reads. A finished run with the same key is used again: a pipeline resumes where it stopped, and a changed weight does
not repeat the match.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import BaseModel

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
#: Lineage column of the run of each stage.
LINEAGE = {
    "merge": "source_run_id",
    "link": "link_run_id",
    "match": "match_run_id",
    "properties": "property_run_id",
    "label": "label_run_id",
    "fit": "model_run_id",
}


class Listener:
    """Receives the progress of a pipeline; this one ignores it. Override what is to be shown."""

    def loaded(self, catalogue: str, loading: Loading) -> None:
        """A catalogue has been loaded, or was loaded already."""

    def finished(self, kind: str, run_id: int, summary: dict[str, Any] | None) -> None:
        """A stage has ended; the summary is None if a finished run is used again."""


@dataclass
class Runner:
    """Runs the stages of a pipeline.

    Parameters
    ----------
    settings : Settings
    plan : Plan
    replace : bool
        Replace the loaded files of a catalogue if they differ from those of the pipeline.
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

    def run(self, *, only: str | None = None, to: str | None = None) -> dict[str, int]:
        """Run all stages, those up to one, or one stage alone.

        Parameters
        ----------
        only : str, optional
            Run this stage alone, on finished runs of the stages before it.
        to : str, optional
            Last stage to run.

        Returns
        -------
        dict
            Stage to run number.

        Raises
        ------
        StageError
            `only` and `to` are both given or not a stage; the pipeline has no references, which the stage needs; or
            a stage before `only` has not been run.
        """
        wanted = self._wanted(only, to)
        for kind in wanted:
            step: Callable[[bool], None] = getattr(self, f"_{kind}")
            step(only in (None, kind))
            if self.pipeline_run_id is not None:
                with ready(self.settings) as conn:
                    note_stages(conn, self.pipeline_run_id, self.runs)
        return self.runs

    def _wanted(self, only: str | None, to: str | None) -> tuple[str, ...]:
        """The stages to go through, in order."""
        if only is not None and to is not None:
            raise StageError("run only one stage, or all stages to one: not both.")
        last = only if only is not None else to
        if last is None:
            last = "publish" if self.plan.pipeline.publish else "classify"
            if not self.plan.of("references"):  # without known objects there are no classes
                last = "properties"
        if last not in STAGES:
            raise StageError(f"there is no stage '{last}'; the stages are {', '.join(STAGES)}.")
        wanted = STAGES[: STAGES.index(last) + 1]
        if "label" in wanted and not self.plan.of("references"):
            raise StageError(f"the pipeline has no references and classes, which the stage '{last}' needs.")
        return wanted

    def run_as_pipeline(self, to: str | None = None) -> dict[str, int]:
        """Run all stages, or those up to one, under a run of kind ``pipeline``."""
        self._wanted(None, to)  # refuse before anything is recorded
        with stage(self.settings, "pipeline", self.plan.pipeline.name, frozen(self.plan.pipeline)) as run:
            self.pipeline_run_id = run.run_id
            run.summary["runs"] = self.run(to=to)
        return self.runs

    # --- the stages, in order -----------------------------------------------------------------------------

    def _ingest(self, may_run: bool) -> None:
        for definition in self.plan.definitions.values():
            name, paths = definition.name, self.plan.files[definition.name]
            with ready(self.settings) as conn:
                loaded = {row["sha256"]: row["file_name"] for row in loaded_files(conn, name)}
            if not paths and loaded:
                continue
            if not paths or not (may_run or loaded):
                raise StageError(f"{name}: nothing is loaded yet. Run: xcat ingest {name} FILE...")
            given = {checksum(path).sha256 for path in paths}
            others = [file for digest, file in loaded.items() if digest not in given]
            if others and not self.replace:
                raise StageError(
                    f"{name} holds files that the pipeline does not name: {', '.join(others)}. "
                    "Replace them with --replace, or use another database (XCAT_HOME)."
                )
            if may_run:
                run_id = self.pipeline_run_id
                loading = ingest(self.settings, definition, paths, replace=self.replace, pipeline_run_id=run_id)
                self.listener.loaded(name, loading)
        with ready(self.settings) as conn:  # all stages read these versions, whatever is loaded meanwhile
            for definition in self.plan.definitions.values():
                row = conn.execute(job("ingest.catalogue").compose(), {"name": definition.name}).fetchone()
                if row is None:
                    raise StageError(f"{definition.name}: nothing is loaded yet.")
                self.versions[definition.name] = Loaded(row[0], definition)
                self.files[definition.name] = loaded_files(conn, definition.name)

    def _merge(self, may_run: bool) -> None:
        self._stage("merge", may_run, merge_stage, {}, groups=("xray",))

    def _link(self, may_run: bool) -> None:
        def body(run: Run, **arguments: Any) -> None:
            with ready(self.settings) as conn:
                values = {"kind": "link", "name": self.plan.pipeline.name}
                row = conn.execute(job("runs.last_done").compose(), values).fetchone()
            link_stage(run, previous_run_id=row[0] if row else None, **arguments)

        self._stage("link", may_run, body, self._lineage("merge"), groups=("xray",))

    def _match(self, may_run: bool) -> None:
        # a definition named by its path has another name than the path
        inputs = zip(self.plan.of("counterparts"), self.plan.pipeline.counterparts, strict=True)
        given = {definition.name: item for definition, item in inputs}
        options = {
            "options": self.plan.pipeline.match,
            "completeness": {name: c.completeness for name, c in given.items() if c.completeness is not None},
            "magnitudes": {name: list(c.magnitudes) for name, c in given.items() if c.magnitudes is not None},
        }
        body = partial(match_stage, xray=self._loaded("xray"))
        self._stage("match", may_run, body, self._lineage("merge"), options, ("counterparts",))

    def _properties(self, may_run: bool) -> None:
        lineage = self._lineage("merge", "link", "match")
        self._stage("properties", may_run, properties_stage, lineage, groups=("counterparts", "galaxies"))

    def _label(self, may_run: bool) -> None:
        classes = self.plan.pipeline.classes
        body = partial(label_stage, classes=classes)
        reads, groups = ["merge"], ["references"]
        if any(rule.is_of_place for rule in classes.values()):
            reads.append("properties")
            groups.append("galaxies")
        self._stage("label", may_run, body, self._lineage(*reads), groups=groups, config={"classes": rules(classes)})

    def _fit(self, may_run: bool) -> None:
        pipeline = self.plan.pipeline

        def body(run: Run, **runs: int) -> None:
            stages.fit_stage(run, pipeline, self.runs)

        lineage = self._lineage("merge", "properties", "label")
        self._stage("fit", may_run, body, lineage, config=pipeline.fit_config)

    def _classify(self, may_run: bool) -> None:
        options = {"best_match": self.plan.pipeline.best_match}
        self._stage("classify", may_run, stages.classify_stage, self._lineage("properties", "label", "fit"), options)

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
        body: Callable[..., None],
        reads: dict[str, int],
        options: Mapping[str, Any] | None = None,
        groups: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Run a stage, or find a finished run of the same key.

        Parameters
        ----------
        body : callable
            Called with the run, and by name with `reads`, `options` and the catalogues of `groups`.
        reads : dict
            Runs that the stage reads, by their lineage column.
        options : mapping, optional
        groups : sequence of str
            Groups of catalogues that the stage reads.
        config : mapping, optional
            Further parts of the key, if `body` has them already.
        """
        options = options or {}
        key = {**reads, **(config or {}), **{group: self._contents(group) for group in groups}}
        for name, option in options.items():
            key |= option.model_dump(mode="json") if isinstance(option, BaseModel) else {name: option}
        with ready(self.settings) as conn:
            done = find_done(conn, kind, key)
        if done is not None:
            self.runs[kind] = done
            self.listener.finished(kind, done, None)
            return
        if not may_run:
            raise StageError(
                f"the stage '{kind}' of this pipeline has not been run. Run: xcat run PIPELINE --to {kind}"
            )
        # a run on labels also stands on everything before them
        lineage = self._lineage("merge", "link", "match") | reads if "label_run_id" in reads else reads
        catalogues = {group: self._loaded(group) for group in groups}
        read = [loaded for group in catalogues.values() for loaded in group]
        with stage(
            self.settings,
            kind,
            self.plan.pipeline.name,
            key,
            inputs={loaded.definition.name: self.files[loaded.definition.name] for loaded in read},
            catalogues=[loaded.catalogue_id for loaded in read],
            pipeline_run_id=self.pipeline_run_id,
            **lineage,
        ) as run:
            self._check_unchanged(run, read)
            body(run, **reads, **options, **catalogues)
        self.runs[kind] = run.run_id
        self.listener.finished(kind, run.run_id, run.summary)

    def _check_unchanged(self, run: Run, read: list[Loaded]) -> None:
        """Refuse catalogues to which files were added after the key was made and before the run was registered."""
        for loaded in read:
            name = loaded.definition.name
            values = {"catalogue_id": loaded.catalogue_id}
            now = dicts(run.conn.execute(job("ingest.files_of_version").compose(), values))
            if {row["sha256"] for row in now} != {row["sha256"] for row in self.files[name]}:
                raise StageError(f"{name}: files were added while the stage was started. Run the pipeline again.")

    def _lineage(self, *kinds: str) -> dict[str, int]:
        """Runs of these stages, by their lineage column."""
        return {LINEAGE[kind]: self.runs[kind] for kind in kinds}

    def _loaded(self, group: str) -> list[Loaded]:
        return [self.versions[definition.name] for definition in self.plan.of(group)]

    def _contents(self, group: str) -> list[dict[str, Any]]:
        """The catalogues of a group for a key: definitions and files, by checksum."""
        return [
            {
                "catalogue": definition.name,
                "definition_sha256": definition.sha256,
                "files": sorted(row["sha256"] for row in self.files[definition.name]),
            }
            for definition in self.plan.of(group)
        ]
