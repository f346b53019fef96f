"""Runs a pipeline stage by stage, and skips stages that are done already.

A stage's key is made of its part of the pipeline file, the checksums of the files and the numbers of the runs that it
reads. A finished run with the same key is used again: a pipeline resumes where it stopped, and a changed weight does
not repeat the match.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import psycopg
from pydantic import BaseModel

from xcat.columns.properties import of_light_curves
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.loaded import Loaded
from xcat.database.runs import Run, find_done, note_stages, read_catalogues, stage
from xcat.database.sqlfiles import dicts, job
from xcat.errors import StageError
from xcat.ingest.checks import NOTHING_MORE, Allowed
from xcat.ingest.load import PRODUCTS, Loading, checksum, ingest, loaded_files
from xcat.jobs import frozen
from xcat.jobs.classes import rules
from xcat.jobs.pipeline import Plan
from xcat.jobs.publishing import publish
from xcat.jobs.stages import classify_stage, fit_stage, label_stage
from xcat.jobs.turn import Turn, turn
from xcat.match.stage import match_stage
from xcat.merge.links import link_stage
from xcat.merge.sources import merge_stage
from xcat.progress import doing
from xcat.properties.compute import properties_stage

STAGES = ("ingest", "merge", "link", "match", "properties", "label", "fit", "classify", "publish")
_TRIES = 5
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

    def said(self, text: str) -> None:
        """The run waits for another one, or was interrupted and goes on."""


class _Work(NamedTuple):
    """What a stage does: a function of its run and, by name, of options and of what the stage reads."""

    body: Callable[..., None]
    reads: tuple[str, ...]
    groups: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}
    frozen: Mapping[str, int] = {}  #: runs, by lineage column, that it takes its learning from
    config: Mapping[str, Any] = {}  #: further parts of the key, if `body` has them already


@dataclass
class Runner:
    """Runs the stages of a pipeline."""

    settings: Settings
    plan: Plan
    replace: bool = False  #: whether loaded files of a catalogue that differ from those of the pipeline are replaced
    listener: Listener = field(default_factory=Listener)
    allowed: Allowed = (
        NOTHING_MORE  #: shares of rejected rows, and of what replacing loses, in place of the definitions'
    )
    wait: bool = True  #: whether to wait for another run of the pipeline that is at work
    pipeline_run_id: int | None = None
    runs: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def run(self, *, only: str | None = None, to: str | None = None) -> dict[str, int]:
        """Run all stages, those up to one, or one stage alone; the run number by stage.

        Parameters
        ----------
        only : str, optional
            Run this stage alone, on finished runs of the stages before it.
        to : str, optional
            Last stage to run.

        Raises
        ------
        StageError
            `only` and `to` are both given or not a stage; the pipeline has no references, which the stage needs; or
            a stage before `only` has not been run.
        BusyError
            Another run of the pipeline is at work, and this one is not to wait.
        """
        wanted = self._wanted(only, to)  # refuse before anything is waited for
        with turn(self.settings, self.plan.pipeline.name, self.listener.said, self.wait) as mine:
            return self._run(mine, wanted, only)

    def _run(self, mine: Turn, wanted: tuple[str, ...], only: str | None = None) -> dict[str, int]:
        for kind in wanted:
            mine.check()
            doing.stage = kind
            may_run = only in (None, kind)
            if kind == "ingest":
                self._ingest(mine, may_run, keep=wanted != (kind,))
            elif kind == "publish":
                self._publish(mine)
            else:
                self._stage(mine, kind, may_run)
            if self.pipeline_run_id is not None:
                with mine.session() as conn:
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
        if only == "fit" and self.plan.pipeline.model is not None:
            raise StageError(f"the pipeline takes its model from {self.plan.pipeline.model}: there is nothing to fit.")
        if "label" in wanted and not self.plan.of("references"):
            raise StageError(f"the pipeline has no references and classes, which the stage '{last}' needs.")
        if self._of_light_curves and "properties" in wanted:  # which also asks for what it takes from an earlier run
            with ready(self.settings) as conn:
                if conn.execute(job("ingest.catalogue").compose(), {"name": PRODUCTS}).fetchone() is None:
                    raise StageError(
                        f"{', '.join(self._of_light_curves)}: no light curves are loaded. They are of published "
                        "sources: publish without these properties, then run: xcat ingest-products PATH..."
                    )
        return wanted

    def run_as_pipeline(self, to: str | None = None) -> dict[str, int]:
        """Run all stages, or those up to one, under a run of kind ``pipeline``."""
        wanted = self._wanted(None, to)  # refuse before anything is recorded
        pipeline = self.plan.pipeline
        with (
            turn(self.settings, pipeline.name, self.listener.said, self.wait) as mine,
            mine.run(pipeline.model_dump(mode="json")) as summary,
        ):
            self.pipeline_run_id = mine.run_id
            summary["runs"] = self._run(mine, wanted)
        return self.runs

    # --- the stages, in order -----------------------------------------------------------------------------

    def _ingest(self, mine: Turn, may_run: bool, keep: bool) -> None:
        for definition in self.plan.definitions.values():
            name, paths = definition.name, self.plan.files[definition.name]
            with mine.session() as conn:
                rows = loaded_files(conn, name)
            loaded = {row["sha256"]: row["file_name"] for row in rows}
            if not paths and loaded:
                if not any(row["n_rows"] for row in rows):
                    raise StageError(f"{name}: the files that are loaded have no rows. Load others with --replace.")
                continue
            if not paths or not (may_run or loaded):
                raise StageError(f"{name}: nothing is loaded yet. Run: xcat ingest {name} FILE...")
            given = {checksum(path).sha256 for path in paths}
            others = [file for digest, file in loaded.items() if digest not in given]
            if others and not self.replace:
                names = {path.name for path in paths}
                changed, foreign = [f for f in others if f in names], [f for f in others if f not in names]
                texts = [f"{', '.join(changed)}: the content is not what was loaded"] if changed else []
                texts += [f"it holds files that the pipeline does not name: {', '.join(foreign)}"] if foreign else []
                raise StageError(
                    f"{name}: {'; '.join(texts)}. "
                    "Replace what is loaded with --replace, or use another database (XCAT_HOME)."
                )
            if may_run:
                loading = ingest(
                    self.settings,
                    definition,
                    paths,
                    replace=self.replace,
                    allowed=self.allowed,
                    pipeline_run_id=self.pipeline_run_id,
                )
                self.listener.loaded(name, loading)
        for left in reversed(range(_TRIES)):  # all stages read these versions, whatever is loaded meanwhile
            try:
                self._choose_versions(keep)
                break
            except psycopg.errors.ForeignKeyViolation:  # one of them was replaced and dropped just now
                if not left:
                    raise StageError("the catalogues are being replaced; nothing was changed. Run it again.") from None

    def _choose_versions(self, keep: bool) -> None:
        """Take the current versions, and keep them, as those that the pipeline's run reads."""
        names = [*self.plan.definitions, *([PRODUCTS] if self._of_light_curves else [])]
        with ready(self.settings) as conn:
            for name in names:
                row = conn.execute(job("ingest.catalogue").compose(), {"name": name}).fetchone()
                if row is None:
                    raise StageError(f"{name}: nothing is loaded yet.")
                self.versions[name] = row[0]
            if keep and self.pipeline_run_id is not None:
                read_catalogues(conn, self.pipeline_run_id, list(self.versions.values()))
            query = job("ingest.files_of_version").compose()
            for name, version in self.versions.items():
                self.files[name] = dicts(conn.execute(query, {"catalogue_id": version}))

    def _publish(self, mine: Turn) -> None:
        run_id = self.runs["classify"]
        with mine.session() as conn:
            shown = conn.execute(job("classify.published").compose()).fetchone()
            ((done,),) = conn.execute(job("publish.last_of").compose(), {"run_id": run_id})
        if done is not None and shown is not None and shown[0] == run_id:
            self.runs["publish"] = done
            self.listener.finished("publish", done, None)
            return
        self.runs["publish"] = publish(self.settings, run_id, self.pipeline_run_id, allow_loss=self.allowed.loss)
        self.listener.finished("publish", self.runs["publish"], {})

    def _works(self) -> dict[str, _Work]:
        """What each stage between ingest and publish does."""
        pipeline = self.plan.pipeline
        # a definition named by its path has another name than the path
        names = [definition.name for definition in self.plan.of("counterparts")]
        taken = self._frozen
        given = dict(zip(names, pipeline.counterparts, strict=True))
        of_match = {
            "options": pipeline.match,
            "completeness": {name: c.completeness for name, c in given.items() if c.completeness is not None},
            "magnitudes": {name: list(c.magnitudes) for name, c in given.items() if c.magnitudes is not None},
        }
        of_classify: dict[str, Any] = {"best_match": pipeline.best_match}
        if taken.classify_run_id is not None:
            of_classify["frozen_run_id"] = taken.classify_run_id
        match_ = partial(match_stage, xray=self._loaded("xray"))
        label = partial(label_stage, classes=pipeline.classes)
        # a run without kinds has the key that it had before there were any
        of_rules = [
            {k: v for k, v in rule.items() if v or k not in ("kinds", "fits")} for rule in rules(pipeline.classes)
        ]
        of_classes = {"classes": of_rules}
        is_of_place = any(rule.is_of_place for rule in pipeline.classes.values())
        label_reads = ("merge", "properties") if is_of_place else ("merge",)
        label_groups = ("references", "galaxies") if is_of_place else ("references",)

        of_properties: dict[str, Any] = {"keeps": "galactic column, depth"}  # which runs of before did not
        if self._of_light_curves:
            # not by checksums: the same file may have been given to another source since
            of_properties["products"] = sorted(row["file_id"] for row in self.files[PRODUCTS] if row["n_rows"])
        properties = partial(properties_stage, products=self.versions.get(PRODUCTS))

        def link(run: Run, **arguments: Any) -> None:
            values = {"kind": "link", "name": pipeline.name}
            row = run.conn.execute(job("runs.last_done").compose(), values).fetchone()
            link_stage(run, previous_run_id=row[0] if row else None, **arguments)

        return {
            "merge": _Work(merge_stage, (), ("xray",)),
            "link": _Work(link, ("merge",), ("xray",)),
            # runs of before did not keep what they learned, which a user's table needs
            "match": _Work(
                match_,
                ("merge",),
                ("counterparts",),
                of_match,
                {} if taken.match_run_id is None else {"match_run_id": taken.match_run_id},
                {"keeps": "strata"},
            ),
            "properties": _Work(
                properties, ("merge", "link", "match"), ("counterparts", "galaxies"), config=of_properties
            ),
            "label": _Work(label, label_reads, label_groups, config=of_classes),
            "fit": _Work(
                lambda run, **reads: fit_stage(run, pipeline, self.runs),
                ("merge", "properties", "label"),
                config=pipeline.fit_config,
            ),
            "classify": _Work(classify_stage, ("properties", "label", "fit"), options=of_classify),
        }

    def _stage(self, mine: Turn, kind: str, may_run: bool) -> None:
        """Run a stage, or find a finished run of the same key."""
        if kind == "fit" and self._frozen.model_run_id is not None:
            self.runs[kind] = self._frozen.model_run_id
            self.listener.finished(kind, self.runs[kind], None)
            return
        work = self._works()[kind]
        reads = self._lineage(*work.reads) | dict(work.frozen)
        key = {**reads, **work.config, **{group: self._contents(group) for group in work.groups}}
        for name, option in work.options.items():
            if isinstance(option, BaseModel):  # which run a word like 'published' means is among those that are read
                key |= option.model_dump(mode="json", exclude={"learned"})
            else:
                key[name] = option
        with mine.session() as conn:
            if kind == "match" and work.frozen:
                frozen.check_match(conn, work.frozen["match_run_id"], key, [d.name for d in self.plan.of("xray")])
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
        catalogues = {group: self._loaded(group) for group in work.groups}
        read = {loaded.definition.name: loaded.catalogue_id for group in catalogues.values() for loaded in group}
        if kind == "properties" and self._of_light_curves:
            read[PRODUCTS] = self.versions[PRODUCTS]
        with stage(
            self.settings,
            kind,
            self.plan.pipeline.name,
            key,
            inputs={name: self.files[name] for name in read},
            catalogues=list(read.values()),
            pipeline_run_id=self.pipeline_run_id,
            **lineage,
        ) as run:
            self._check_unchanged(run, read)
            work.body(run, **reads, **work.options, **catalogues)
        self.runs[kind] = run.run_id
        self.listener.finished(kind, run.run_id, run.summary)

    def _check_unchanged(self, run: Run, read: Mapping[str, int]) -> None:
        """Refuse catalogues to which files were added after the key was made and before the run was registered."""
        query = job("ingest.files_of_version").compose()
        for name, catalogue_id in read.items():
            now = dicts(run.conn.execute(query, {"catalogue_id": catalogue_id}))
            if {row["sha256"] for row in now} != {row["sha256"] for row in self.files[name]}:
                raise StageError(f"{name}: files were added while the stage was started. Run the pipeline again.")

    @cached_property
    def _frozen(self) -> frozen.Frozen:
        """What is not learned, found once: what is published may change meanwhile."""
        pipeline = self.plan.pipeline
        if pipeline.model is None and pipeline.match.learned is None:
            return frozen.Frozen()
        with ready(self.settings) as conn:
            return frozen.of_pipeline(conn, pipeline)

    @cached_property
    def _of_light_curves(self) -> list[str]:
        """Properties of light curves that the classifier uses."""
        given = [p.name for p in self.plan.pipeline.property_list]
        return of_light_curves(self._frozen.properties or given)

    def _lineage(self, *kinds: str) -> dict[str, int]:
        """Runs of these stages, by their lineage column."""
        return {LINEAGE[kind]: self.runs[kind] for kind in kinds}

    def _loaded(self, group: str) -> list[Loaded]:
        return [Loaded(self.versions[definition.name], definition) for definition in self.plan.of(group)]

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
