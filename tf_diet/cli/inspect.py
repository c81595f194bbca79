# SPDX-License-Identifier: MIT
"""Show what of a model can be pruned, what is pinned, and why.

    tf-diet inspect model.keras
    tf-diet inspect model.keras --picture graph.svg
    tf-diet inspect model.keras --no-exact
    tf-diet inspect model.keras --group conv1d

A row of the table is a group of units that can be removed one by one: the
layers that make them all lose the same, and those that use them shrink along.
Below it stands what cannot be removed, and the reason. --group lists every
weight that shrinks when units of a group go, and what one unit saves.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from tf_diet.cli.models import load_model
from tf_diet.graph.details import details
from tf_diet.graph.names import groups_named
from tf_diet.graph.picture import picture
from tf_diet.graph.show import describe
from tf_diet.graph.show import inspect as inspect_model


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet inspect`."""
    parser.add_argument("model", help="a .keras file")
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="draw which groups feed which: .svg, .png or .pdf (needs "
        "Graphviz, else a .txt is written), .dot or .txt",
    )
    parser.add_argument(
        "--group",
        action="append",
        metavar="NAME",
        help="list what hangs on a group, by its name, that of a layer, or a "
        "pattern ('*' is every group); can be given more than once",
    )
    add_graph_arguments(parser)


def add_graph_arguments(parser: Any) -> None:
    """Adds what a channel graph is built with."""
    parser.add_argument(
        "--exact",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave alone what can shrink only approximately, such as "
        "channels that LayerNormalization averages over; with --no-exact they "
        "go as well, and retraining has to mend it (default: --exact)",
    )
    parser.add_argument(
        "--probe",
        action="store_true",
        help="let channels through unknown layers without weights that treat "
        "each channel alone, as a test on random data shows",
    )


def run(args: Any) -> None:
    """Prints the channel graph, and draws it where asked to."""
    graph = inspect_model(
        load_model(args.model), exact=args.exact, probe=args.probe
    )
    if args.group:
        names = [groups_named(graph, name, "--group") for name in args.group]
        flat = dict.fromkeys(name for found in names for name in found)
        print("\n\n".join(map(repr, details(graph, list(flat)))))
    else:
        width = max(shutil.get_terminal_size().columns, 80)
        print(describe(graph, width))
    if args.picture:
        written = picture(graph, args.picture)
        if written != args.picture:
            print("Graphviz (the program 'dot') was not found: text instead")
        print(f"wrote {written}")
