# SPDX-License-Identifier: MIT
"""All criteria against each other: one shot, and after five epochs more.

Run `PYTHONPATH=tests/support python benchmarks/criteria.py`; it goes on where
it stopped, keeps the trained models in build/criteria and writes
docs/results/criteria.jsonl and criteria.md. Some seconds a cell: all of them
take hours, so name subjects or criteria to do those first. Either backend will
do (KERAS_BACKEND): each row holds its own full model's error and where it ran.

Every cell starts from the same trained model, takes a share of its parameters
away, and trains on with the state of its optimizer. Errors are losses on test
data over that of the full model, which trained as many epochs less.
"""

import argparse
import json
import time
from itertools import product
from math import exp, log
from pathlib import Path
from statistics import mean

import keras
from stamp import stamp
from subjects import SUBJECTS, Subject

import tf_diet
from tf_diet.criteria import (
    L2,
    InformationGain,
    Magnitude,
    MutualInformation,
    Taylor,
)
from tf_diet.criteria.criterion import Criterion, Floats, Seen, criteria
from tf_diet.criteria.ranking import rank
from tf_diet.criteria.scores import Scores
from tf_diet.files import write_text
from tf_diet.graph.build import build
from tf_diet.graph.groups import Group
from tf_diet.progress import track
from tf_diet.pruning.scaling import scalings
from tf_diet.pruning.selection import scopes
from tf_diet.training.saving import save_model

ROOT = Path(__file__).resolve().parents[1]
RESULTS, MODELS = ROOT / "docs" / "results", ROOT / "build" / "criteria"
RATES = (0.5, 0.8, 0.95)
SCOPES = ("global", "local")
SEEDS = (0, 1, 2)
MORE = 5
# The paper divides by the layer's largest score before it ranks globally; by
# default ranks meet.
SCALED = {
    "magnitude, sum": ("max",),
    "mutual_information, max": ("max", "rank"),
}
# Of these every reduction is tried.
REDUCED = (MutualInformation, InformationGain, Magnitude, L2, Taylor)
# Of these every scope and scaling is.
WIDER = ("information_gain, mean", "mutual_information, max")


def compared() -> dict[str, Criterion]:
    """Returns everything compared, by its name in the table."""
    found = {}
    for name in criteria.names():
        kind = criteria.get(name)
        if kind in REDUCED:
            for reduce in ("sum", "mean", "max"):
                found[f"{name}, {reduce}"] = kind(reduce=reduce)
        else:
            found[name] = kind()
    return found


def ways(name: str) -> list[tuple[str, str]]:
    """Returns the scalings and scopes in which a criterion is tried."""
    found = [*product(("none",), SCOPES)]
    found += [*product(SCALED.get(name, ()), ("global",))]
    if name in WIDER:
        found += [*product(scalings.names(), ("global",))]
        found += [*product(("none",), scopes.names())]
    return list(dict.fromkeys(found))


class Given(Criterion):
    """Scores found before, so that a model is looked at once a criterion."""

    needs = frozenset()
    blind = "not seen when they were scored"

    def __init__(self, scores: Scores) -> None:
        super().__init__()
        self.scores = scores

    def score(self, group: Group, seen: Seen) -> Floats:
        """Returns what was given."""
        return self.scores.values[group.name]


def trained(name: str, seed: int) -> Subject:
    """Returns a subject with its trained model, which is kept on disk."""
    subject = SUBJECTS[name](seed)
    path = MODELS / f"{name}_{seed}.keras"
    if not path.exists():
        train(subject, subject.model, subject.epochs, seed)
        save_model(subject.model, path)
    model = keras.models.load_model(path)
    return Subject(**{**vars(subject), "model": model})


def train(subject: Subject, model: keras.Model, epochs: int, seed: int) -> None:
    """Trains on, the same way every time."""
    keras.utils.set_random_seed(seed)
    model.fit(
        *subject.train, batch_size=subject.batch, epochs=epochs, verbose=0
    )


def error(subject: Subject, model: keras.Model) -> float:
    """Returns the loss on test data."""
    logs = model.evaluate(
        *subject.test, batch_size=subject.batch, verbose=0, return_dict=True
    )
    return float(logs["loss"])


def cell(
    subject: Subject,
    plan: tf_diet.PruningPlan,
    seed: int,
    known: dict[str, dict],
) -> dict:
    """Returns what one cut came to.

    Training is the same every time, so the same units need not go twice:
    `known` holds what earlier cuts of this model came to.
    """
    cut = repr(plan.kept_units)
    if cut not in known:
        started = time.perf_counter()
        small = plan.apply(subject.model)
        before = error(subject, small)
        train(subject, small, MORE, seed)
        known[cut] = {
            "one_shot": before,
            "after": error(subject, small),
            "seconds": round(time.perf_counter() - started, 1),
        }
    return {"removed": plan.reached, **known[cut]}


def page(rows: list[dict]) -> str:
    """Returns the tables."""
    lines = [
        "# Criteria compared",
        "",
        "Test error over that of the full model, mean of the seeds with half "
        f"their range, {MORE} epochs after the cut; in brackets right after "
        "it. The best of a column is bold; so is what lies within its range. "
        "A criterion that cannot judge enough units removes less than asked, "
        "and is left out. Written by `benchmarks/criteria.py`.",
    ]
    main = [r for r in rows if r["scope"] in SCOPES]
    main = [r for r in main if r["scaling"] in ("none", "max", "rank")]
    for name in SUBJECTS:
        mine = [r for r in main if r["subject"] == name]
        if not mine:
            continue
        columns = sorted({(r["rate"], r["scope"]) for r in mine})
        best = {c: _best(mine, c) for c in columns}
        heads = [f"{scope} {rate:.0%}" for rate, scope in columns]
        seeds = len({r["seed"] for r in mine})
        lines += ["", f"## {name}, {seeds} seeds", ""]
        lines += ["| criterion | " + " | ".join(heads) + " |"]
        lines += ["|---" * (len(columns) + 1) + "|"]
        for key in _keys(mine):
            cells = [_cell(mine, key, c, best[c]) for c in columns]
            lines.append(f"| {_label(key)} | " + " | ".join(cells) + " |")
    lines += [*_overall(main), *_wider(rows)]
    lines += ["", "Where the cells ran:", ""]
    for ran_on in sorted({r["ran_on"] for r in rows}):
        seeds = sorted({r["seed"] for r in rows if r["ran_on"] == ran_on})
        named = ", ".join(map(str, seeds))
        lines.append(f"- seed {named}: {ran_on}")
    return "\n".join([*lines, ""])


def _keys(rows: list[dict]) -> list[tuple[str, str]]:
    """Returns every criterion with every scaling, sorted."""
    return sorted({(r["criterion"], r["scaling"]) for r in rows})


def _label(key: tuple[str, str]) -> str:
    criterion, scaling = key
    return criterion if scaling == "none" else f"{criterion} / {scaling}"


def _overall(rows: list[dict]) -> list[str]:
    """Returns a table of geometric means over all subjects and rates."""
    heads = ["global, then trained", "global, one shot"]
    heads += ["local, then trained", "local, one shot"]
    lines = [
        "",
        "## In all",
        "",
        "Geometric mean over subjects and rates, of those that remove as much "
        "as asked in every one; the best first.",
        "",
        "| criterion | " + " | ".join(heads) + " |",
        "|---" * 5 + "|",
    ]
    table = []
    for key in _keys(rows):
        means = [
            _geometric(rows, key, scope, of)
            for scope in SCOPES
            for of in ("after", "one_shot")
        ]
        if any(means):
            table.append((means, _label(key)))
    for means, label in sorted(table, key=_first):
        cells = [f"{value:.3f}" if value else "-" for value in means]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def _first(row: tuple[list[float | None], str]) -> float:
    """Where a row stands: by its better scope, trained."""
    return min(value for value in row[0][::2] if value)


def _geometric(
    rows: list[dict],
    key: tuple[str, str],
    scope: str,
    of: str = "after",
    rates: tuple[float, ...] = RATES,
) -> float | None:
    """Returns the mean over subjects and rates; None where a cell lacks."""
    logs = []
    for name, rate in product(sorted({r["subject"] for r in rows}), rates):
        mine = [r for r in rows if r["subject"] == name]
        values = _values(mine, key, (rate, scope), of)
        if not values:
            return None
        logs.append(log(mean(values)))
    return exp(mean(logs))


def _wider(rows: list[dict]) -> list[str]:
    """Returns a table of scopes and scalings."""
    lines = [
        "",
        "## Scopes and scalings",
        "",
        "Geometric mean over subjects, trained; the best first.",
        "",
        "| criterion | scope | scaling | "
        + " | ".join(f"{rate:.0%}" for rate in RATES)
        + " | in all |",
        "|---" * (len(RATES) + 4) + "|",
    ]
    table = []
    for name in WIDER:
        for scaling, scope in ways(name):
            key = (name, scaling)
            each = [_geometric(rows, key, scope, rates=(r,)) for r in RATES]
            found = [value for value in each if value]
            if found:
                whole = _geometric(rows, key, scope)
                cells = [f"{v:.3f}" if v else "-" for v in (*each, whole)]
                line = " | ".join([name, scope, scaling, *cells])
                table.append((whole or float("inf"), f"| {line} |"))
    return lines + [line for _, line in sorted(table)]


def _values(
    rows: list[dict], key: tuple[str, str], column: tuple[float, str], of: str
) -> list[float]:
    """Returns errors over the full model's, where as much went as asked."""
    return [
        r[of] / r["full"]
        for r in rows
        if (r["criterion"], r["scaling"]) == key
        and (r["rate"], r["scope"]) == column
        and r["removed"] > r["rate"] - 0.02
    ]


def _best(rows: list[dict], column: tuple[float, str]) -> tuple[float, float]:
    """Returns mean and half range of the best criterion of a column."""
    found = [v for k in _keys(rows) if (v := _values(rows, k, column, "after"))]
    values = min(found, key=mean, default=[0.0])
    return mean(values), (max(values) - min(values)) / 2


def _cell(
    rows: list[dict],
    key: tuple[str, str],
    column: tuple[float, str],
    best: tuple[float, float],
) -> str:
    after = _values(rows, key, column, "after")
    if not after:
        return "-"
    middle, half = mean(after), (max(after) - min(after)) / 2
    text = f"{middle:.3f} ± {half:.3f}"
    if middle <= sum(best):
        text = f"**{text}**"
    return f"{text} ({mean(_values(rows, key, column, 'one_shot')):.2f})"


def main() -> None:
    kinds = compared()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--subjects", nargs="*", default=list(SUBJECTS))
    parser.add_argument("--criteria", nargs="*", default=list(kinds))
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--rates", nargs="*", type=float, default=RATES)
    options = parser.parse_args()
    store = RESULTS / "criteria.jsonl"
    rows = []
    if store.exists():
        lines = store.read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
    identity = ("subject", "seed", "criterion", "scaling", "scope", "rate")
    done = {tuple(row[name] for name in identity) for row in rows}
    ran_on = stamp()
    for seed, name in product(options.seeds, options.subjects):
        cells = {
            criterion: [
                (way, rate)
                for way, rate in product(ways(criterion), options.rates)
                if (name, seed, criterion, *way, rate) not in done
            ]
            for criterion in options.criteria
        }
        if not any(cells.values()):
            continue
        keras.backend.clear_session()
        subject = trained(name, seed)
        full = error(subject, subject.model)
        graph, known = build(subject.model), {}
        for criterion in track(options.criteria, f"{name}, seed {seed}"):
            if not cells[criterion]:
                continue
            started = time.perf_counter()
            scores = rank(
                subject.model,
                graph,
                subject.train,
                kinds[criterion],
                seed=seed,
            )
            spent = round(time.perf_counter() - started, 2)
            for way, rate in cells[criterion]:
                scaling, scope = way
                plan = tf_diet.plan(
                    subject.model,
                    rate=rate,
                    criterion=Given(scores),
                    scaling=scaling,
                    scope=scope,
                )
                found = cell(subject, plan, seed, known)
                key = (name, seed, criterion, *way, rate)
                row = {
                    **dict(zip(identity, key, strict=True)),
                    "full": full,
                    "rank_seconds": spent,
                    **found,
                    "ran_on": ran_on,
                }
                rows.append(row)
                print(json.dumps(row), flush=True)
            text = "".join(json.dumps(r) + "\n" for r in rows)
            write_text(store, text)
            write_text(RESULTS / "criteria.md", page(rows))
    write_text(RESULTS / "criteria.md", page(rows))


if __name__ == "__main__":
    main()
