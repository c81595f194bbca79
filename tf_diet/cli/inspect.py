# SPDX-License-Identifier: MIT
"""Show which units of a model can be removed, which cannot, and why.

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
from typing import TYPE_CHECKING, Any

from tf_diet.cli.models import add_import, check_model_file, load_model
from tf_diet.cli.parsing import add_json, add_list

if TYPE_CHECKING:
    from tf_diet.graph.channels import ChannelGraph


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet inspect`."""
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    add_import(parser)
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="draw which groups feed which: .svg, .png or .pdf (needs "
        "Graphviz, else a .txt is written), .dot or .txt",
    )
    add_list(
        parser,
        "--group",
        metavar="NAME",
        help="list every weight that shrinks when units of this group are "
        "removed; by its name, that of a layer, or a pattern ('*' is every "
        "group)",
    )
    add_graph_arguments(parser)
    add_json(parser, "groups, cost, and what cannot be removed")


def add_graph_arguments(parser: Any) -> None:
    """Adds what a channel graph is built with."""
    parser.add_argument(
        "--exact",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="remove only units whose removal equals setting them to zero. "
        "Channels that LayerNormalization averages over are not of that kind: "
        "with --no-exact they can be removed too, but outputs change and only "
        "retraining makes up for it (default: --exact)",
    )
    parser.add_argument(
        "--probe",
        action="store_true",
        help="where a layer is unknown and has no weights, test on random "
        "data whether it treats each channel alone, and if so allow removal "
        "of the channels that pass through it",
    )


def run(args: Any) -> dict[str, Any]:
    """Prints the channel graph, and draws it where asked to."""
    check_model_file(args.model)
    from tf_diet.graph.details import details
    from tf_diet.graph.names import groups_named
    from tf_diet.graph.picture import picture
    from tf_diet.graph.show import describe
    from tf_diet.graph.show import inspect as inspect_model

    graph = inspect_model(
        load_model(args.model, args), exact=args.exact, probe=args.probe
    )
    facts = _facts(graph)
    if args.group:
        names = [groups_named(graph, name, "--group") for name in args.group]
        flat = dict.fromkeys(name for found in names for name in found)
        found = details(graph, list(flat))
        facts["details"] = found
        print("\n\n".join(map(repr, found)))
    else:
        width = max(shutil.get_terminal_size().columns, 80)
        print(describe(graph, width))
    if args.picture:
        written = picture(graph, args.picture)
        if written != args.picture:
            print("Graphviz (the program 'dot') was not found: text instead")
        print(f"wrote {written}")
    return facts


def _facts(graph: "ChannelGraph") -> dict[str, Any]:
    """Returns what the text says, and more than has room there."""
    from tf_diet.graph.show import group_shares, makers, users

    shares, used = group_shares(graph), users(graph)
    return {
        "prunable_share": graph.prunable_share,
        "cost": graph.cost(),
        "groups": [
            {
                "name": group.name,
                "units": group.n_units,
                "weights_share": shares[group.name],
                "made_by": makers(graph, group),
                "used_by": used[group.name],
            }
            for group in graph.groups
        ],
        "pinned": graph.pinned,
        "inexact": graph.inexact,
        "barriers": graph.barriers,
    }
