"""A password is in no message, no list of processes, no record of a run and no log; other secrets neither."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import children
import psycopg
import pytest

from xcat.cli import app as program
from xcat.cli import database_commands
from xcat.config import Settings
from xcat.database import connection
from xcat.database.address import conninfo, masked, open_parts
from xcat.database.connection import connect, ready
from xcat.database.embedded import EmbeddedServer
from xcat.database.runs import stage
from xcat.errors import ConfigError, DatabaseError
from xcat.ingest.readers import open_table
from xcat.jobs.pipeline import Plan, read

_PASSWORD = "pl4nted"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"postgresql+psycopg://me:{_PASSWORD}@host/db", "postgresql+psycopg://me:***@host/db"),
        (f"see https://me:{_PASSWORD}@tap.org/tap, and more", "see https://me:***@tap.org/tap, and more"),
        (f"host=h password={_PASSWORD} user=u", "host=h password=*** user=u"),
        (f"password='a {_PASSWORD}' user=u", "password=*** user=u"),
        (f"postgresql://me@h/d?sslpassword={_PASSWORD}&port=1", "postgresql://me@h/d?sslpassword=***&port=1"),
        ("at 12:30 me@host wrote file:3: x", "at 12:30 me@host wrote file:3: x"),
    ],
)
def test_passwords_are_hidden_wherever_they_stand(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_password_that_is_the_users_name_hides_no_words() -> None:
    """As docker-compose.yml has it by default: commands in messages stay readable."""
    text = "postgresql://xcat:xcat@database/xcat: no xcat schema yet. Run: xcat db migrate"
    shown = "postgresql://xcat:***@database/xcat: no xcat schema yet. Run: xcat db migrate"
    assert masked(text, "postgresql+psycopg://xcat:xcat@database:5432/xcat") == shown


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{_PASSWORD}@localhost:1/xcat?connect_timeout=2",
        f"postgresql://me:a@{_PASSWORD}@localhost:1/xcat?connect_timeout=2",
        f"postgresql://me:{_PASSWORD}/x@localhost:1/xcat",
        f"postgresql://me:{_PASSWORD}%zz@localhost:1/xcat",
        f"postgresql://me:{_PASSWORD}:1@localhost:port/xcat",
        f"postgresql//me:{_PASSWORD}@host/xcat",
        f"postgresql://me@localhost:1/xcat?password={_PASSWORD}&nonsense=1",
        f"postgresql://me@localhost:1/xcat?sslpassword={_PASSWORD}&sslmode=wrong",
    ],
)
def test_no_error_of_an_address_has_its_password(url: str, monkeypatch: Any, capsys: Any) -> None:
    """Also where the password has signs that ought to be escaped, and libpq takes its pieces for host or port."""
    settings = Settings(database_url=url)
    assert _PASSWORD not in repr(settings)
    for attempt in (ready, connection.migrate):
        with pytest.raises(DatabaseError) as refused:
            attempt(settings)
        assert _PASSWORD not in str(refused.value)
    monkeypatch.setenv("XCAT_DATABASE_URL", url)
    monkeypatch.setattr(program, "_listen", lambda: None)
    for command in (["db", "status"], ["sql", "SELECT 1"], ["runs"], ["catalogues"]):
        monkeypatch.setattr(sys, "argv", ["xcat", *command])
        with suppress(SystemExit):
            program.main()
        printed = capsys.readouterr()
        assert _PASSWORD not in printed.out + printed.err


def test_no_argument_of_a_program_has_the_password(settings: Settings, monkeypatch: Any) -> None:
    started: list[list[str]] = []
    monkeypatch.setenv("XCAT_DATABASE_URL", str(settings.database_url).replace("xcat@", f"xcat:{_PASSWORD}@"))
    monkeypatch.setenv("PGPASSWORD", "")  # put back afterwards
    monkeypatch.setenv("PGOPTIONS", "")
    monkeypatch.setattr(os, "execvp", lambda _, arguments: started.append(arguments))
    from types import SimpleNamespace

    database_commands.db_shell(SimpleNamespace(args=["-c", "SELECT 1"]))  # type: ignore[arg-type]
    ((*arguments,),) = started
    assert _PASSWORD not in " ".join(arguments) and os.environ["PGPASSWORD"] == _PASSWORD
    done = children.run([*arguments, "-tA"], env={"PGPASSWORD": _PASSWORD})
    assert done.stdout.strip() == "1", done.stderr
    address, variables = open_parts(conninfo(f"postgresql://u:{_PASSWORD}@h/d?sslpassword={_PASSWORD}"))
    assert _PASSWORD not in address and variables == {"PGPASSWORD": _PASSWORD}


def test_no_record_of_a_run_has_the_password(settings: Settings) -> None:
    """An error of a library may carry the address; what is stored does not."""
    with pytest.raises(ValueError), stage(settings, "merge", "name", {}):
        raise ValueError(f"cannot open postgresql://me:{_PASSWORD}@host/db, nor https://u:{_PASSWORD}@tap.org")
    with connect(settings) as conn:
        ((record,),) = conn.execute("SELECT run::text FROM xcat.run")
    assert "me:***@host" in record and _PASSWORD not in record


def test_the_log_of_the_server_is_its_owners_and_has_no_statements(server: EmbeddedServer, settings: Settings) -> None:
    with connect(settings) as conn, pytest.raises(psycopg.errors.SyntaxError):
        conn.execute(f"ALTER ROLE nobody PASSWORD '{_PASSWORD}' nonsense")
    assert stat.S_IMODE(server.log.stat().st_mode) == 0o600
    log = server.log.read_text()
    assert "nonsense" in log and _PASSWORD not in log


# --- files that a pipeline names ------------------------------------------------------------------------------------

_SHADOW = f"root:{_PASSWORD}:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"


@pytest.fixture
def shadow(tmp_path: Path) -> Path:
    """A file that is none of the pipeline's business, beside the data folder."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "shadow"
    path.write_text(_SHADOW)
    return path


@pytest.mark.parametrize("form", ["{path}", "../shadow", "sub/../../shadow", "./../data/../shadow"])
def test_a_pipeline_names_files_in_the_data_folder_only(shadow: Path, form: str) -> None:
    path = shadow.parent / "p.yaml"
    name = form.format(path=shadow)
    path.write_text(f"name: x\nxray: [{{catalogue: xmm4_detections, files: ['{name}']}}]\n")
    with pytest.raises(ConfigError, match=r"is outside the data folder .*--data") as refused:
        Plan(read(path), shadow.parent / "data")
    assert _PASSWORD not in str(refused.value)
    if "{path}" in form:  # whoever runs it may name a folder that holds the file
        assert Plan(read(path), shadow.parent).files["xmm4_detections"] == [shadow]


def test_a_definition_folder_lies_in_the_data_folder(shadow: Path) -> None:
    path = shadow.parent / "p.yaml"
    path.write_text("name: x\ndefinitions: [..]\nxray: [{catalogue: xmm4_detections}]\n")
    with pytest.raises(ConfigError, match=r"definitions: '\.\.' is outside the data folder"):
        Plan(read(path), shadow.parent / "data")


@pytest.mark.parametrize("text", ["extends: {}\nname: x\n", "name: x\nxray: [{{catalogue: {}}}]\n"])
def test_a_file_of_another_kind_is_not_shown(shadow: Path, text: str) -> None:
    path = shadow.parent / "p.yaml"
    path.write_text(text.format(shadow))
    with pytest.raises(ConfigError, match="none of the keys") as refused:
        Plan(read(path), shadow.parent / "data")
    assert _PASSWORD not in str(refused.value) and "daemon" not in str(refused.value)


def test_a_text_that_is_no_table_is_not_shown(shadow: Path) -> None:
    from xcat.catalogues.definition import load
    from xcat.errors import InputError

    for content in (_SHADOW, f"machine host login me password {_PASSWORD}\n", f"{_PASSWORD},b,c\n1,2,3\n"):
        shadow.write_text(content)
        with pytest.raises(InputError, match="there is no column 'DETID'") as refused:
            open_table(shadow, load("xmm4_detections"))
        assert _PASSWORD not in str(refused.value)
