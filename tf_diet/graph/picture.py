# SPDX-License-Identifier: MIT
"""A channel graph as a picture: who feeds whom, and where it stops."""

import os
import shutil
import subprocess
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
from absl import logging

from tf_diet.errors import InputError
from tf_diet.files import replacing, write_text
from tf_diet.graph.calls import Call
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.labels import Vector
from tf_diet.graph.operation import weights_of
from tf_diet.graph.show import graph_of, labels_of, shortened

_DRAWN = (".svg", ".png", ".pdf")
_SOURCE = (".dot", ".gv")
_STYLES = {
    "input": 'shape=plain, fontcolor="#777777"',
    "group": 'shape=box, style="rounded,filled", fillcolor="#cfe8d5"',
    "fixed": 'shape=box, style=filled, fillcolor="#dddddd"',
    "barrier": 'shape=octagon, style=filled, fillcolor="#f3c9c4"',
}
_SHOWN = 4


@dataclass(frozen=True, order=True)
class Node:
    """A box of the picture.

    Args:
        kind: "input", "group", "fixed" (a layer whose channels stay) or
            "barrier".
        name: of the group, layer or input.
    """

    kind: str
    name: str


def picture(
    graph: ChannelGraph | keras.Model, path: str | os.PathLike[str]
) -> Path:
    """Draws which groups feed which, and where the graph stops.

    Args:
        graph: the channel graph, or a model.
        path: what to write: .svg, .png or .pdf (drawn by Graphviz), .dot or
            .gv (its source), or .txt. Where there is no Graphviz, a text of
            the same name that ends in .txt is written instead.

    Returns:
        The file that was written.

    Raises:
        InputError: the file ends in something else, or Graphviz fails.
        UnsupportedModelError: it is a model that cannot be walked.
    """
    graph, path = graph_of(graph), Path(path)
    suffix = path.suffix.lower()
    if suffix in _SOURCE:
        return write_text(path, dot(graph))
    if suffix != ".txt" and suffix not in _DRAWN:
        raise InputError(
            f"A picture cannot be written as {suffix or 'a bare name'!r}. "
            f"Received: {path}. End the name in one of: "
            f"{', '.join((*_DRAWN, *_SOURCE, '.txt'))}."
        )
    program = shutil.which("dot")
    if suffix == ".txt" or program is None:
        if suffix != ".txt":
            logging.warning(
                "Graphviz (the program 'dot') is not installed: %s becomes a "
                "text",
                path,
            )
        return write_text(path.with_suffix(".txt"), outline(graph) + "\n")
    with replacing(path) as temporary:
        done = subprocess.run(
            [program, f"-T{suffix[1:]}", "-o", str(temporary)],
            input=dot(graph),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise InputError(
                "Graphviz could not draw the graph. Received: "
                f"{done.stderr.strip()}. Write the source to a .dot file "
                "instead."
            )
    return path


def outline(graph: ChannelGraph, width: int = 100) -> str:
    """Returns the picture as text: a line for each box, and what it feeds.

    Args:
        graph: the channel graph.
        width: of the longest line, in characters.
    """
    nodes, edges = _drawing(graph)
    lines = []
    for node in nodes:
        fed = [_label(graph, to) for of, to in edges if of == node]
        arrow = f" -> {shortened(fed, _SHOWN)}" if fed else ""
        word = "" if node.kind == "group" else f"[{node.kind}] "
        line = f"{word}{_label(graph, node)}{arrow}"
        lines.append(textwrap.fill(line, width, subsequent_indent="    "))
    return "\n".join(lines)


def dot(graph: ChannelGraph) -> str:
    """Returns the picture in the language of Graphviz."""
    nodes, edges = _drawing(graph)
    lines = [
        "digraph channels {",
        '  node [fontname="Helvetica", fontsize=10];',
        '  edge [color="#777777"];',
    ]
    for number, node in enumerate(nodes):
        label = _label(graph, node).replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'  n{number} [label="{label}", {_STYLES[node.kind]}];')
    places = {node: number for number, node in enumerate(nodes)}
    lines += [f"  n{places[of]} -> n{places[to]};" for of, to in edges]
    return "\n".join([*lines, "}", ""])


def _label(graph: ChannelGraph, node: Node) -> str:
    if node.kind == "group":
        return f"{node.name} ({graph.group(node.name).n_units})"
    return node.name


def _drawing(graph: ChannelGraph) -> tuple[list[Node], list[tuple[Node, Node]]]:
    """Returns the boxes and arrows, in the order in which data meets them."""
    walked = graph.walk
    of_tensor: dict[int, tuple[Node, ...]] = {
        key: (Node("input", name),)
        for key, name in zip(walked.inputs, walked.input_names, strict=True)
    }
    barriers = {b.path for b in graph.barriers}
    nodes: dict[Node, None] = {n: None for v in of_tensor.values() for n in v}
    edges: dict[tuple[Node, Node], None] = {}
    for call in walked.calls:
        sources = _once(n for key in call.inputs for n in of_tensor[key])
        inner = _hidden(graph, call)
        taken = labels_of(graph, call.inputs)
        for key in call.outputs:
            known = graph.labels[key].known()
            held = _groups(graph, known)
            # What comes in and goes out again is no arrow.
            made = _groups(graph, [np.setdiff1d(v, taken) for v in known])
            stays = _fixed(call, call.path in barriers, sources, held)
            of_tensor[key] = (*held, *stays)
            made = (*made, *(n for n in stays if n not in sources))
            steps = [sources, inner, made] if inner else [sources, made]
            for before, after in pairwise(steps):
                edges |= {(a, b): None for a in before for b in after if a != b}
        nodes |= {n: None for key in call.outputs for n in of_tensor[key]}
        nodes |= dict.fromkeys(inner)
    # Groups that no tensor shows, in a layer without inputs that are known.
    nodes |= {Node("group", group.name): None for group in graph.groups}
    return list(nodes), list(edges)


def _once(nodes: Iterable[Node]) -> tuple[Node, ...]:
    return tuple(dict.fromkeys(nodes))


def _groups(graph: ChannelGraph, vectors: Iterable[Vector]) -> tuple[Node, ...]:
    found: dict[int, None] = {}
    for vector in vectors:
        for number in graph.group_of[vector].tolist():
            found[number] = None
    return tuple(Node("group", graph.groups[n].name) for n in found if n >= 0)


def _hidden(graph: ChannelGraph, call: Call) -> tuple[Node, ...]:
    """Returns the groups inside a layer that its tensors do not show."""
    weights = graph.signatures[call.index].weights.values()
    inside = _groups(
        graph, (v for axes in weights for v in axes if v is not None)
    )
    keys = (*call.inputs, *call.outputs)
    shown = _groups(graph, (v for k in keys for v in graph.labels[k].known()))
    return tuple(node for node in inside if node not in shown)


def _fixed(
    call: Call,
    barrier: bool,
    sources: tuple[Node, ...],
    held: tuple[Node, ...],
) -> tuple[Node, ...]:
    """Returns what else a tensor is made of than the groups that it holds."""
    if barrier:
        return (Node("barrier", call.layer_path),)
    if weights_of(call.operation):
        return () if held else (Node("fixed", call.layer_path),)
    others = tuple(node for node in sources if node.kind != "group")
    return others if held or others else (Node("fixed", call.layer_path),)
