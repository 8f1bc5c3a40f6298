"""The notebook of the documentation runs from top to bottom, and is kept without outputs."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[3] / "docs" / "from-pandas.ipynb"

# What the notebook shows: three policies are judged to be better, and they are.
CHECK = """
better = verdicts[verdicts.verdict == "better"]
assert len(better) == 3 and (better.earned > judged["logging_policy_earned"]).all(), verdicts
"""


def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        assert not cell.outputs and cell.execution_count is None, "clear all outputs"
        assert max(map(len, cell.source.splitlines())) <= 100, cell.source
    notebook.cells.append(nbformat.v4.new_code_cell(CHECK))
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}})
    client.execute()
    outputs = [output for cell in cells for output in cell.outputs]
    assert sum("image/png" in output.get("data", ()) for output in outputs) == 3
