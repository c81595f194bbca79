# SPDX-License-Identifier: MIT
"""The command line, run inside a test."""

from tf_diet.cli import app


def run(capsys, *argv):
    """Returns exit code and everything printed."""
    code = app.main(app.parse(["tf-diet", *map(str, argv)]))
    captured = capsys.readouterr()
    return code, captured.out + captured.err
