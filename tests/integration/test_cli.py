"""The command line: what it prints, how it fails."""

import json
import shlex

import children
import pytest
from typer.testing import CliRunner

from xcat.cli.app import app

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


def test_every_command_has_help(cli):
    from typer.main import get_command

    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert command.help, name
        for sub, inner in getattr(command, "commands", {}).items():
            assert inner.help, sub
            cli(name, sub, "--help")
        cli(name, "--help")


def test_version(cli):
    import xcat

    assert cli("--version").strip() == f"xcat {xcat.__version__}"


def test_an_error_is_one_message_and_exit_code_1(settings):
    done = children.run([children.XCAT, "publish", "7"], settings)
    assert done.returncode == 1
    assert done.stderr.strip() == "xcat: there is no run 7. See: xcat runs"
    assert not done.stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_is_no_obstacle(closed):
    done = children.run(["sh", "-c", f"exec {shlex.quote(str(children.XCAT))} catalogues {closed}"])
    assert (done.returncode, done.stderr) == (0, "")
    assert ("csc2_detections" in done.stdout) == (closed != ">&-")


@pytest.mark.parametrize(
    "variables", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONUTF8": "1"}], ids=str
)
def test_the_locale_changes_nothing_that_is_said_or_read(settings, variables):
    arguments = ["sql", "SELECT chr(963) AS sigma, E'\\u2192' AS arrow", "--json"]
    done = children.run([children.XCAT, *arguments], settings, env=variables)
    assert (done.returncode, json.loads(done.stdout)["rows"]) == (0, [["σ", "→"]])
    for command in (["catalogues"], ["catalogues", "show", "csc2_detections"], ["db", "status"]):
        assert children.run([children.XCAT, *command], settings, env=variables, check=True).stderr == ""


def test_a_wrong_definition_is_refused_with_its_line(cli, tmp_path):
    from xcat.errors import ConfigError

    wrong = tmp_path / "mine.yaml"
    wrong.write_text(
        "name: mine\ntitle: Mine\nkind: optical\ncitation: me\ncolumns:\n  ra: RA\n  dec: DEC\n  mag_q: Q\n"
    )
    with pytest.raises(ConfigError, match=r"mine\.yaml:8: .*mag_q"):
        cli("catalogues", "show", str(wrong))


def test_a_definition_of_ones_own_is_listed_and_loaded(cli, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ntitle: Mine\nkind: optical\ncitation: me\nsky: {area_deg2: 1}\n"
        "position_error: {convention: axis_1sigma, constant: 0.1}\n"
        "columns:\n  native_id: ID\n  ra: {from: RA, unit: deg}\n  dec: {from: DEC, unit: deg}\n"
        "  mag_r: {from: R, unit: mag}\n"
    )
    table = tmp_path / "t.csv"
    table.write_text("ID,RA,DEC,R\na,10,20,15.5\nb,11,95,16\nc,12,22,oops\nd,359.99,-22,\n")
    assert "Mine" in cli("catalogues", "--definitions", str(tmp_path))
    text = cli("ingest", "mine", str(table), "--definitions", str(tmp_path))
    assert "2 rows loaded, 2 rejected" in text
    assert "declination" in text
    assert "oops" in text
    again = cli("ingest", "mine", str(table), "--definitions", str(tmp_path))
    assert "already loaded, nothing changed" in again
    rows = json.loads(cli("sql", "SELECT native_id, ra, mag_r FROM xcat.counterpart ORDER BY native_id", "--json"))
    assert "359.99" in json.dumps(rows)


def test_sql_cannot_write(cli):
    from xcat.errors import XcatError

    with pytest.raises(XcatError, match="may not change anything"):
        cli("sql", "DELETE FROM xcat.run")


def test_nothing_published_says_what_to_do(cli):
    from xcat.errors import XcatError

    for command in (["candidates", "XRB"], ["explain", "somebody"], ["report"]):
        with pytest.raises(XcatError, match="nothing is published yet"):
            cli(*command)


@pytest.mark.parametrize("cone", ["1,2", "a,b,c", "1,2,3,4"])
def test_a_cone_must_be_three_numbers(cli, tmp_path, cone):
    from xcat.errors import ConfigError

    with pytest.raises(ConfigError, match="RA,DEC,RADIUS"):
        cli("fetch", "gaia_dr3", "--cone", cone, "-o", str(tmp_path / "x.vot"))


def test_runs_as_json(cli, tmp_path):
    assert json.loads(cli("runs", "--json")) == []
