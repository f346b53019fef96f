"""The command line: what it prints, how it fails."""

import csv
import json
import re
import shlex
import signal
import sys
from typing import get_args

import children
import psycopg
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from xcat.cli import app as program
from xcat.cli import pipeline_commands
from xcat.cli.app import app, main
from xcat.database import connection
from xcat.database.address import shown_url
from xcat.errors import ConfigError, XcatError

runner = CliRunner()


@pytest.fixture
def cli(settings, monkeypatch):
    """Run the command line in this process, on the test's database."""
    monkeypatch.setenv("XCAT_DATABASE_URL", str(settings.database_url))

    def invoke(*arguments: str, code: int = 0) -> str:
        result = runner.invoke(app, list(arguments), catch_exceptions=True)
        if code == 0 and result.exception is not None:
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    return invoke


def _commands():
    """Every command, as the words that call it, and what typer made of it."""
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        yield (name,), command
        for sub, inner in getattr(command, "commands", {}).items():
            yield (name, sub), inner


def test_every_command_has_help_with_examples_that_it_understands(cli):
    for words, command in _commands():
        assert command.help, words
        text = cli(*words, "--help")
        examples = re.findall(r"^    (xcat .+)$", text.partition("Examples:")[2].partition("Exit codes")[0], re.M)
        assert examples, words
        for example in examples:
            call = shlex.split(example, comments=True)
            assert call[1 : len(words) + 1] == list(words) or "--quiet" in call or words == ("runs", "show"), example
            known = set(re.findall(r"(?<![\w-])--?\w[\w-]*", text)) | {"-c", "--quiet"}
            used = {word for word in call if re.fullmatch(r"--?[a-z][\w-]*", word)}
            assert len(words) + 1 == 3 or used <= known or hasattr(command, "commands"), (example, used - known)
    assert "Exit codes:" in cli("--help")
    for words in ((), ("run",), ("db", "status")):
        assert cli(*words, "-h") == cli(*words, "--help")


def test_every_command_but_the_shell_prints_json():
    for words, command in _commands():
        options = {name for parameter in command.params for name in parameter.opts}
        if words not in {("db",), ("db", "shell"), ("volunteers",)}:
            assert "--json" in options, words


def test_stages_of_the_command_are_those_of_the_runner():
    from xcat.jobs.runner import STAGES

    assert get_args(pipeline_commands.Stage) == STAGES


def test_version(cli):
    import xcat

    assert cli("--version").strip() == f"xcat {xcat.__version__}"


def test_an_error_is_one_message_and_exit_code_1(settings):
    for more in ([], ["--json"]):
        done = children.run([children.XCAT, "publish", "7", *more], settings)
        assert done.returncode == 1
        assert done.stderr.strip() == "xcat: there is no run 7. See: xcat runs"
        assert not done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sql"], "give a query, or a file with one"),
        (["sql", "-f", "missing.sql"], "missing.sql"),
        (["run", "p.yaml", "--only", "cook"], "--only"),
        (["run", "p.yaml", "--only", "fit", "--to", "fit"], "--only or --to, not both"),
        (["candidates", "XRB", "--cone", "1,2"], "RA,DEC,RADIUS"),
        (["classify", "t.csv", "-o", "t.doc"], "must be one of .fits"),
        (["explain", "1", "--figure", "t.csv"], "must be one of .png"),
        (["match", "t.csv", "-o", "m.csv"], "--against"),
        (["match-files", __file__, "-o", "m.csv", "--mag", "x"], "--mag takes TABLE:COLUMN"),
        (["runs", "pin", "1", "--why", " "], "say why"),
        (["cook"], "No such command"),
    ],
)
def test_wrong_usage_is_exit_code_2(monkeypatch, capsys, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XCAT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["xcat", *arguments])
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest keeps its own
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (2, "")
    assert words in printed.err
    assert not list(tmp_path.iterdir()), "a server was begun"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_with_its_code(settings, number, code):
    process = children.start([children.XCAT, "sql", "SELECT pg_sleep(600)", "--json"], settings)
    query = "SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND datname = current_database()"
    with psycopg.connect(connection.conninfo(settings.database_url), autocommit=True) as conn:
        children.until(lambda: process.poll() is not None or conn.execute(query).fetchone() is not None)
    process.send_signal(number)
    returncode, out, error = children.end(process)
    assert (returncode, out) == (code, "")
    assert "nothing was changed by the step that was running" in error


def test_a_signal_before_the_commands_are_there_is_no_traceback(monkeypatch, capsys):
    """As when systemd or docker-compose stops a worker that has just been started."""

    def assembled() -> None:
        signal.raise_signal(signal.SIGTERM)

    before = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
    }
    monkeypatch.setattr(program, "app", assembled)
    monkeypatch.setattr(program, "_received", None)
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert end.value.code == 143
    assert "cancelled by a signal (SIGTERM)" in capsys.readouterr().err


_WRITING = {
    "sql": ["sql", "SELECT 1", "-o", "{0}.fits"],
    "candidates": ["candidates", "XRB", "-o", "{0}.vot"],
    "match": ["match", "t.csv", "--against", "gaia_dr3", "-o", "{0}.parquet"],
    "figure of match": ["match", "t.csv", "--against", "gaia_dr3", "-o", "new.csv", "--figure", "{0}.pdf"],
    "match-files": ["match-files", "a.fits", "b.fits", "-o", "{0}.csv"],
    "classify": ["classify", "t.csv", "-o", "{0}.ecsv"],
    "fetch": ["fetch", "gaia_dr3", "--cone", "1,2,3", "-o", "{0}.vot"],
    "explain": ["explain", "1", "--figure", "{0}.png"],
    "report": ["report", "--figure", "{0}.svg"],
    "evaluate": ["evaluate", "t.csv", "--label", "x", "-o", "{0}.json"],
}


@pytest.mark.parametrize("arguments", _WRITING.values(), ids=_WRITING)
def test_a_file_that_exists_is_refused_before_the_work(cli, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    arguments = [word.format("precious") for word in arguments]
    name = next(word for word in arguments if "precious" in word)
    (tmp_path / name).write_text("precious")
    with pytest.raises(XcatError, match=rf"^{name} exists already\. Choose another name, or use --overwrite"):
        cli(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "precious"


def test_overwrite_replaces_a_file(cli, tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("precious")
    assert json.loads(cli("sql", "SELECT 1 AS n", "-o", str(path), "--overwrite", "--json"))["rows_out"] == 1
    assert path.read_text().split() == ["n", "1"]
    assert "1 rows written" in cli("sql", "SELECT 1 AS n", "-o", str(path), "--overwrite")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_is_no_obstacle(closed):
    done = children.run(["sh", "-c", f"exec {shlex.quote(str(children.XCAT))} catalogues {closed}"])
    assert (done.returncode, done.stderr) == (0, "")
    assert ("csc2_detections" in done.stdout) == (closed != ">&-")


@pytest.mark.parametrize("variables", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONUTF8": "1"}], ids=str)
def test_the_locale_changes_nothing_that_is_said_or_read(settings, variables):
    arguments = ["sql", "SELECT chr(963) AS sigma, E'\\u2192' AS arrow", "--json"]
    done = children.run([children.XCAT, *arguments], settings, env=variables)
    assert (done.returncode, json.loads(done.stdout)["rows"]) == (0, [["σ", "→"]])
    for command in (["catalogues"], ["catalogues", "show", "csc2_detections"], ["db", "status"]):
        assert children.run([children.XCAT, *command], settings, env=variables, check=True).stderr == ""


def test_a_wrong_definition_is_refused_with_its_line(cli, tmp_path):
    wrong = tmp_path / "mine.yaml"
    wrong.write_text(
        "name: mine\ntitle: Mine\nkind: optical\ncitation: me\ncolumns:\n  ra: RA\n  dec: DEC\n  mag_q: Q\n"
    )
    with pytest.raises(ConfigError, match=r"mine\.yaml:8: .*mag_q"):
        cli("catalogues", "show", str(wrong))


_MINE = (
    "name: mine\ntitle: Mine [a-z]\nkind: {kind}\ncitation: me\nsky: {{area_deg2: 1}}\n"
    "position_error: {{convention: axis_1sigma, constant: 0.1}}\n"
    "columns:\n  native_id: ID\n  ra: {{from: RA, unit: deg}}\n  dec: {{from: DEC, unit: deg}}\n{more}"
)


def test_a_definition_of_ones_own_is_listed_and_loaded(cli, tmp_path):
    (tmp_path / "mine.yaml").write_text(_MINE.format(kind="optical", more="  mag_r: {from: R, unit: mag}\n"))
    table = tmp_path / "t.csv"
    table.write_text("ID,RA,DEC,R\na,10,20,15.5\nb,11,95,16\nc,12,22,oops\nd,359.99,-22,\n")
    assert "Mine [a-z]" in cli("catalogues", "--definitions", str(tmp_path))
    assert "Mine" not in cli("catalogues")
    text = cli("ingest", "mine", str(table), "--definitions", str(tmp_path), "--allow-rejects", "0.5")
    assert "3 rows loaded, 1 rejected" in text
    assert "declination" in text
    assert "not a number in column R, first in row 3 ('oops'); value left empty" in text
    again = cli("ingest", "mine", str(table), "--definitions", str(tmp_path))
    assert "already loaded, nothing changed" in again
    with connection.connect() as conn:
        rows = conn.execute("SELECT native_id, ra, mag_r FROM xcat.counterpart ORDER BY native_id").fetchall()
    assert rows == [("a", 10.0, 15.5), ("c", 12.0, None), ("d", 359.99, None)]
    # from now on the database knows it
    assert re.search(r"^mine +optical +3 +1 +t\.csv +Mine \[a-z\]", cli("catalogues"), re.M)
    listed = {row["name"]: row["loaded"] for row in json.loads(cli("catalogues", "--json"))}
    assert listed["mine"] == {"version": 1, "n_rows": 3, "files": ["t.csv"]}
    assert listed["csc2_detections"] is None
    assert "Mine [a-z]" in cli("catalogues", "show", "mine")
    assert json.loads(cli("catalogues", "show", "mine", "--json"))["name"] == "mine"
    with pytest.raises(ConfigError, match="no catalogue definition 'yours'"):
        cli("catalogues", "show", "yours")


def test_catalogues_are_listed_without_a_database_and_start_none(tmp_path):
    done = children.run([children.XCAT, "catalogues"], env={"XCAT_HOME": str(tmp_path / "home")}, check=True)
    assert "csc2_detections" in done.stdout
    assert "no database is running" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_pattern_is_printed_whole(cli, tmp_path):
    pattern = "^[a-z]" + "x" * 200 + "$"
    wrong = _MINE.format(kind="optical", more=f"  mag_r: {{from: R, unit: mag, transform: '{pattern}'}}\n")
    (tmp_path / "mine.yaml").write_text(wrong)
    assert pattern in cli("catalogues", "--definitions", str(tmp_path))


@pytest.fixture
def survey(settings, tmp_path):
    """A pipeline that links the sources of one catalogue."""
    (tmp_path / "mine.yaml").write_text(_MINE.format(kind="xray_sources", more=""))
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("ID", "RA", "DEC"), *((f"s{i}", 10 + i / 10, 20) for i in range(9))])
    path = tmp_path / "links.yaml"
    path.write_text("name: links\ndefinitions: [.]\nxray:\n  - {catalogue: mine, files: [t.csv]}\n")

    def run(*arguments):
        return children.run([children.XCAT, *arguments], settings, check=True)

    run.pipeline = (str(path), "--data", str(tmp_path))
    return run


@pytest.mark.slow
def test_a_pipeline_is_run_stage_by_stage_and_logged_with_times(survey):
    done = survey("run", *survey.pipeline, "--to", "merge")
    log = [
        re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d) (.+)", line) for line in done.stderr.splitlines()
    ]
    assert all(log), done.stderr
    said = [line[2] for line in log if line and not re.fullmatch(r"run 1: .+: [\d.]+ s", line[2])]  # what took its time
    assert said == ["run 1: mine: 9 rows loaded, 0 rejected", "run 1: merge: run 3"]
    assert done.stdout == ""
    done = survey("run", *survey.pipeline, "--only", "link")
    assert "merge: run 3 (done before)" in done.stderr
    assert "link: run 4" in done.stderr
    assert "9" in done.stdout
    as_json = survey("run", *survey.pipeline, "--only", "link", "--json")
    assert as_json.stderr == ""
    assert json.loads(as_json.stdout)
    whole = survey("run", *survey.pipeline)
    assert whole.stdout == done.stdout, "without references the pipeline ends with the links"

    text = survey("runs", "3").stdout
    for pattern in (
        r"^run 3: merge of links, done$",
        r"^when +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, took [\d.]+ s$",
        r"^steps +[\d.]+ s  \w+$",
        r"mine: t\.csv \(9 rows\)",
        r"^made +missions mine: .*sources 9",
        r"^settings +xray: ",
        r"^software .*numpy",
    ):
        assert re.search(pattern, text, re.M), (pattern, text)
    record = json.loads(survey("runs", "3", "--json").stdout)
    assert record["kind"] == "merge"
    assert json.loads(survey("runs", "--json", "3").stdout) == record


@pytest.mark.slow
def test_quiet_is_quiet(survey, tmp_path):
    for command in (
        ["run", *survey.pipeline],
        ["run", *survey.pipeline, "--only", "link"],
        ["ingest", "mine", str(tmp_path / "t.csv"), "--definitions", str(tmp_path)],
        ["runs", "pin", "1", "--why", "a test"],
        ["sql", "SELECT 1", "-o", str(tmp_path / "o.csv")],
    ):
        done = survey("--quiet", *command)
        assert (done.stdout, done.stderr) == ("", ""), command
    assert survey("--quiet", "sql", "SELECT 7", "--value").stdout == "7\n"
    assert json.loads(survey("--quiet", "run", *survey.pipeline, "--json").stdout)


def test_the_status_gives_the_address_that_psql_reads(settings, cli):
    status = json.loads(cli("db", "status", "--json"))
    assert f"connect to {status['url']}" in cli("db", "status").splitlines()
    assert status["running"] and status["schema"] == status["newest_schema"]
    with psycopg.connect(status["url"]) as conn:
        assert conn.info.dbname in settings.database_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:se:c@ret@host:5433/db?sslmode=require", "postgresql://me:***@host:5433/db?sslmode=require"),
        ("postgresql://me@/db?host=/run/pg&password=secret&port=1", "postgresql://me@/db?host=/run/pg&password=***&port=1"),
        ("postgres://h/db?sslpassword=secret", "postgres://h/db?sslpassword=***"),
        ("postgresql://me:secret@h", "postgresql://me:***@h"),
        ("postgresql://h:5432/db?user=a@b", "postgresql://h:5432/db?user=a@b"),
    ],
)  # fmt: skip
def test_the_address_hides_passwords(url, shown):
    assert shown_url(url) == shown


def test_sql_cannot_write(cli):
    with pytest.raises(XcatError, match="may not change anything"):
        cli("sql", "DELETE FROM xcat.run")


def test_nothing_published_says_what_to_do(cli):
    for command in (["candidates", "XRB"], ["explain", "somebody"], ["report"]):
        with pytest.raises(XcatError, match="nothing is published yet"):
            cli(*command)


@pytest.mark.parametrize("cone", ["1,2", "a,b,c", "1,2,3,4"])
def test_a_cone_must_be_three_numbers(cli, tmp_path, cone):
    with pytest.raises(ConfigError, match="RA,DEC,RADIUS"):
        cli("fetch", "gaia_dr3", "--cone", cone, "-o", str(tmp_path / "x.vot"))


def test_runs_as_json(cli, tmp_path):
    assert json.loads(cli("runs", "--json")) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands_without_a_database(tmp_path, shell):
    variables = {"XCAT_HOME": str(tmp_path / "home"), "_XCAT_COMPLETE": f"source_{shell}"}
    script = children.run([children.XCAT], env=variables, check=True).stdout
    assert "_XCAT_COMPLETE=complete_" in script
    words = {
        "COMP_WORDS": "xcat mat",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "xcat mat",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = children.run([children.XCAT], env=variables | words | {"_XCAT_COMPLETE": f"complete_{shell}"}, check=True)
    assert {"match", "match-files"} <= set(re.findall(r"[\w-]+", done.stdout))
    assert not list(tmp_path.iterdir())


_LARGE = (
    "alembic",
    "astropy",
    "matplotlib",
    "numpy",
    "pandas",
    "psycopg",
    "pyarrow",
    "pydantic",
    "scipy",
    "sqlalchemy",
)


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--help"], set()),
        (["sql", "SELECT 1"], {"numpy", "psycopg", "pydantic"}),
    ],  # typer needs pydantic
)
def test_only_what_a_command_needs_is_imported(settings, arguments, needed):
    program = (
        "import sys; from xcat.cli.app import main\ntry: main()\nexcept SystemExit: pass\n"
        f"print(sorted(set({_LARGE}) & set(sys.modules)), file=sys.stderr)"
    )
    done = children.run([sys.executable, "-c", program, *arguments], settings, check=True)
    assert done.stderr.strip() == str(sorted(needed))


def test_the_revisions_are_those_of_alembic():
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(connection._alembic_config(""))
    assert connection._known_revisions() == [script.revision for script in scripts.walk_revisions()]
