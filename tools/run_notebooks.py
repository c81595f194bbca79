# SPDX-License-Identifier: MIT
"""Runs the notebooks and keeps what they print: `make notebooks`.

    python tools/run_notebooks.py [NAME ...]

What is kept is what a reader should see: no logs, no times of cells. A mark
in the metadata says which cells were run, so that a test finds a notebook
whose cells were changed since.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "examples" / "notebooks"
SECONDS = 600


def digest(notebook: nbformat.NotebookNode) -> str:
    """Returns a mark of the code of a notebook."""
    code = [c.source for c in notebook.cells if c.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def run(path: Path) -> nbformat.NotebookNode:
    """Runs a notebook in an empty folder and returns it with its outputs.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=SECONDS,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if not _is_noise(o)]
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["tf_diet"] = {"code": digest(notebook)}
    return notebook


def _is_noise(output: nbformat.NotebookNode) -> bool:
    """Says whether an output is a log line, or a display of nothing."""
    if output.output_type == "stream":
        return output.name == "stderr" or output.text.startswith("WARNING")
    return output.get("data", {}).get("text/plain") == ""


def main() -> None:
    """Runs those that are named, or all."""
    names = sys.argv[1:] or [p.stem for p in sorted(NOTEBOOKS.glob("*.ipynb"))]
    for name in names:
        path = NOTEBOOKS / f"{name}.ipynb"
        nbformat.write(run(path), path)
        print(f"ran {path.name}")


if __name__ == "__main__":
    main()
