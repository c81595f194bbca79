"""Show what of a model can be pruned, what is pinned, and why.

tf-diet inspect model.keras
"""

from typing import Any

from tf_diet.cli.models import load_model
from tf_diet.graph.show import describe
from tf_diet.graph.show import inspect as inspect_model


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet inspect`."""
    parser.add_argument("model", help="a .keras file")


def run(args: Any) -> None:
    """Prints the channel graph."""
    print(describe(inspect_model(load_model(args.model))))
