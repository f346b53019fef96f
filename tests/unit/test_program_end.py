"""How the program ends: with its exit code, whatever threads Arrow has left."""

from __future__ import annotations

import sys
from pathlib import Path

import children

# Arrow reads ahead in a thread that calls back into Python. Ended in the usual way, this dies: "PyGILState_Release",
# "terminate called without an active exception" (exit code 134), or it hangs.
_FAILS_WHILE_ARROW_READS = """
import atexit, sys, time
import pyarrow as pa, pyarrow.csv
import xcat.cli.app as cli

class Slow:
    closed, n = False, 0
    def read(self, size=-1):
        self.n += 1
        time.sleep(0.2 if self.n > 2 else 0)
        return b"1,2\\n" * 200
    def readable(self): return True
    def close(self): pass

def main():
    options = pyarrow.csv.ReadOptions(block_size=800, use_threads=False, column_names=["a", "b"])
    next(iter(pyarrow.csv.open_csv(pa.PythonFile(Slow(), mode="r"), options)))
    print("answer")
    sys.exit(3)

cli.main = main
atexit.register(print, "tidied")
cli.program()
"""


def test_an_error_while_a_file_is_read_ahead_ends_with_its_code() -> None:
    done = children.run([sys.executable, "-c", _FAILS_WHILE_ARROW_READS])
    assert (done.returncode, done.stdout, done.stderr) == (3, "answer\ntidied\n", "")


def test_output_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    code = "import xcat.cli.app as cli\ncli.main = lambda: print('answer')\ncli.program()"
    done = children.run(["sh", "-c", '"$0" -c "$1" > /dev/full', sys.executable, code])
    assert done.returncode == 1
    assert done.stderr == "xcat: the output is not complete: No space left on device\n"
    failing = code.replace("print('answer')", "1 / 0")
    done = children.run([sys.executable, "-c", failing])
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
