"""The views of ``pub`` that show the published run; the columns of pub.classified are the classes of its model."""

from __future__ import annotations

import re
from collections.abc import Sequence

from psycopg import sql

from xcat.columns.registry import columns
from xcat.database import schema
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import StageError

_CLASSIFIED = schema.PUB_TABLES["classified_runs"]
# views of the published run alone, whose columns are those of the table or view of all runs
AS_OF_ALL_RUNS = (
    *("counterparts", "hypotheses", "master_sources", "model_class", "model_term", "likelihood_density"),
    *("reliability", "evidence", "claxboi"),
)
_NOT_OF_A_CLASS = ("ulx", "hyperluminous")  # views of candidates that sql/views makes
_USUAL = {name: f"p_{name.lower()}" for name in schema.USUAL_CLASSES}


def class_column(name: str) -> str:
    """Column of the probability of a class: ``p_`` and its name in small letters.

    A name that another column has gets a suffix: the class "variable" is ``p_variable_class``.
    """
    column = "p_" + re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return f"{column}_class" if column in _CLASSIFIED.columns and _USUAL.get(name) != column else column


def candidates_view(name: str) -> str:
    """View of the candidates of a class; a class "ULX" gets a suffix: ``ulx_candidates`` are of any class."""
    of_class = class_column(name).removeprefix("p_")
    return f"{schema.PUB}.{of_class}{'_class' if of_class in _NOT_OF_A_CLASS else ''}_candidates"


def view_columns(classes: Sequence[str]) -> list[str]:
    """Columns of pub.classified: those of the table, with the classes of the model, and the run last."""
    usual = [column + error for column in _USUAL.values() for error in ("", "_err")]
    names = [c.name for c in _CLASSIFIED.columns if c.name not in ("run_id", *usual)]
    for error in ("", "_err"):
        place = names.index(f"p_class{error}") + 1
        names[place:place] = [class_column(name) + error for name in classes]
    return [*names, "run_id"]


def make_views(conn: Connection, classes: Sequence[str]) -> None:
    """Make pub.classified anew with these classes, and a view of the candidates of each.

    Raises
    ------
    StageError
        Views of users depend on them.
    """
    wanted = view_columns(classes)
    old = [f"{schema.PUB}.{row[0]}" for row in conn.execute(job("publish.candidate_views").compose())]
    if conn.execute(job("publish.columns_of").compose(), {"relation": "pub.classified"}).fetchone() is not None:
        old.append(f"{schema.PUB}.classified")
    users = [row[0] for row in conn.execute(job("publish.users_of_views").compose(), {"views": old})]
    if users:
        raise StageError(
            f"pub.classified has to be made anew for the classes {', '.join(classes)}, but views of users depend on "
            f"it: {', '.join(users)}. Drop them first, and make them again afterwards."
        )
    readers = conn.execute(job("publish.readers_of_view").compose()).fetchall()
    for view in old:
        conn.execute(job("publish.drop_view").compose(view=view))
    _make(conn, "classified", sql.SQL(", ").join(map(sql.Identifier, wanted)))
    _describe(conn, "pub.classified", "Every classified source of the published run, with its properties", wanted)
    views = [f"{schema.PUB}.classified"]
    for name in classes:
        view = candidates_view(name)
        conn.execute(
            job("publish.candidates_view").compose(
                view=view, columns=_of_candidates(wanted, class_column(name)), **{"class": sql.Literal(name)}
            )
        )
        views.append(view)
        about = f"Candidates: objects classified as {name} that no reference catalogue knows, each once"
        _describe(conn, view, about, wanted)
    for (reader,) in readers:  # roles that could read the views before still can
        for view in views:
            conn.execute(job("publish.let_read").compose(view=view, reader=sql.SQL(reader)))


def _make(conn: Connection, name: str, columns: sql.Composable) -> tuple[str, str]:
    """Make the view of the published run in a table or view of all runs; give the names of both."""
    view, all_runs = f"{schema.PUB}.{name}", f"{schema.PUB}.{name}{schema.ALL_RUNS}"
    conn.execute(job("publish.published_view").compose(view=view, all_runs=all_runs, columns=columns))
    return view, all_runs


def _of_candidates(names: list[str], of_class: str) -> sql.Composed:
    """Columns of a view of candidates: the probability of their class is p_class, for which there is an index."""
    columns = [
        sql.SQL("p_class AS {}").format(sql.Identifier(name)) if name == of_class else sql.Identifier(name)
        for name in names
    ]
    return sql.SQL(", ").join(columns)


def _describe(conn: Connection, view: str, about: str, names: list[str]) -> None:
    conn.execute(job("publish.comment_view").compose(view=view, comment=sql.Literal(about)))
    for name in names:
        comment(conn, view, name)


def comment(conn: Connection, relation: str, column: str) -> None:
    """Describe a column; that of a class may not be in the registry."""
    meaning = columns().get(column)
    of_class = column.removeprefix("p_")
    if meaning:
        text = meaning.comment
    elif column.endswith("_err"):
        text = f"Error (one sigma) of {column.removesuffix('_err')} {{stat.error;stat.probability}}"
    else:
        text = f"Posterior probability of the class {of_class} {{stat.probability;src.class}}"
    statement = job("publish.comment_column")
    conn.execute(statement.compose(relation=relation, name=column, comment=sql.Literal(text)))


def make_first_views(conn: Connection) -> None:
    """Make all views of the published run after a migration; pub.classified for its classes, or for the usual ones."""
    for name in AS_OF_ALL_RUNS:
        view, all_runs = _make(conn, name, sql.SQL("*"))
        row = conn.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", [all_runs]).fetchone()
        about = str(row and row[0]).replace("every published run", "the published run")
        conn.execute(job("publish.comment_view").compose(view=view, comment=sql.Literal(about)))
    row = conn.execute(job("publish.published_classes").compose()).fetchone()
    make_views(conn, list(row[0]) if row is not None and row[0] else schema.USUAL_CLASSES)
