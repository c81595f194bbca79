# SPDX-License-Identifier: MIT
"""One vocabulary: what is spelled alike in every command, and how it is read.

Nothing here runs a command.
"""

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_diet.cli import app
from tf_diet.cli.parsing import parts
from tf_diet.extensions import families
from tf_diet.pruning.limits import MAX_RATE

# What each command needs beside its output.
LEAST = {
    "demo": [],
    "inspect": ["m.keras"],
    "prune": ["m.keras"],
    "lottery": ["net.py:build"],
    "runs": ["runs"],
    "sweep": ["sweep.yaml"],
    "convert": ["m.keras"],
    "profile": ["m.tflite"],
    "render-notes": [],
    "train": ["--model", "ddsp", "--data", "notes"],
    "generate": ["run", "--notes", "C4"],
    "evaluate": ["run", "--data", "notes"],
}
# Which write something, and what -o was called before.
OUTPUTS = {
    "demo": None,
    "prune": None,
    "lottery": "--folder",
    "runs": None,
    "convert": None,
    "render-notes": "--out",
    "train": "--out",
    "generate": "--out",
}
DATA = ("prune", "convert", "train", "evaluate", "profile")
RESUME = ("demo", "lottery", "sweep", "train")
OVERWRITE = (*RESUME, "prune", "runs", "convert", "render-notes", "generate")
NAMES = [module.__name__.rpartition(".")[2] for module in app.COMMANDS]


def parsed(*argv):
    return app.parse(["tf-diet", *argv])


def least(command):
    out = ["-o", "out"] if command in OUTPUTS else []
    return [command, *LEAST[command], *out]


def helped(capsys, *command):
    with pytest.raises(SystemExit) as caught:
        parsed(*command, "--help")
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_every_command_is_in_the_table():
    assert sorted(name.replace("_", "-") for name in NAMES) == sorted(LEAST)


@pytest.mark.parametrize("command", sorted(OUTPUTS))
def test_the_output_has_one_name_and_keeps_its_former_ones(command, capsys):
    words = [command, *LEAST[command]]
    spellings = ["-o", "--output"]
    if OUTPUTS[command]:
        spellings.append(OUTPUTS[command])
    found = [parsed(*words, name, "there") for name in spellings]
    found += [
        parsed(*words, f"{name}=there") for name in spellings if name != "-o"
    ]
    found.append(parsed(command, spellings[-1], "there", *words[1:]))
    assert str(found[0].output) == "there"
    assert all(other == found[0] for other in found)
    if OUTPUTS[command]:
        text = helped(capsys, command)
        assert not re.search(rf"{OUTPUTS[command]}\b", text)
        assert "-o, --output PATH" in text


def test_prune_calls_its_plan_json_and_knows_the_former_name(capsys):
    now, before = (
        parsed("prune", "m.keras", name, "plan.json")
        for name in ("--json", "--plan")
    )
    assert now == before
    assert now.json == "plan.json"
    assert parsed("prune", "m.keras", "--plan-from", "p").plan_from == "p"
    assert not re.search(r"--plan\b(?!-)", helped(capsys, "prune"))


@pytest.mark.parametrize("command", sorted(LEAST))
def test_shared_options_are_where_they_make_sense(command):
    words = least(command)
    options = vars(parsed(*words))
    assert options["json"] is None
    assert parsed(*words, "--json", "-").json == "-"
    assert ("data" in options) == (command in DATA)
    assert ("resume" in options) == (command in RESUME)
    assert ("overwrite" in options) == (command in OVERWRITE)
    assert ("output" in options) == (command in OUTPUTS)
    if command in RESUME and command != "prune":
        with pytest.raises(SystemExit):
            parsed(*words, "--resume", "--overwrite")


@pytest.mark.parametrize("command", sorted(LEAST))
@pytest.mark.parametrize(
    ("option", "level"),
    [
        (["-q"], "error"),
        (["--quiet"], "error"),
        (["-v"], "debug"),
        (["--verbose"], "debug"),
        (["--verbosity", "info"], "info"),
        # As absl's own flag was given.
        (["--verbosity=1"], "debug"),
        (["--verbosity", "-1"], "warning"),
    ],
)
def test_verbosity_goes_before_or_after_the_command(command, option, level):
    words = least(command)
    assert parsed(*words, *option).verbosity == level
    assert parsed(*option, *words).verbosity == level
    assert not hasattr(parsed(*words), "verbosity")


@pytest.mark.parametrize("command", ["", *sorted(LEAST)])
def test_help_keeps_its_lines(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = helped(capsys, *filter(None, [command]))
    lines = text.splitlines()
    # A usage names all that must be given, and is not wrapped.
    assert max(map(len, lines[1:])) <= 80
    assert lines[0].startswith(f"usage: tf-diet {command or 'COMMAND'}")
    examples = [line for line in lines if line.startswith("    tf-diet ")]
    if command:
        assert len(examples) >= 2
        assert all(f"    tf-diet {command} " in line for line in examples)


def examples():
    for module in app.COMMANDS:
        text = re.sub(r"\\\n\s*", "", module.__doc__)
        for line in text.splitlines():
            if line.startswith("    tf-diet "):
                # A comment stands apart, behind blanks.
                yield re.split(" {3,}", line[4:])[0]


@pytest.mark.parametrize("example", list(examples()))
def test_examples_of_the_help_can_be_typed(example):
    words = shlex.split(example)
    assert parsed(*words[1:]).run


def test_help_states_what_the_code_does(capsys):
    assert f"default: {MAX_RATE}," in " ".join(helped(capsys, "prune").split())
    text = helped(capsys, "train")
    for preset in ("tiny", "small", "paper"):
        assert preset in text
        for name in families.names():
            families.get(name)().config.preset(preset)
    from tf_diet.demo.job import COMPARED

    text = " ".join(helped(capsys, "demo").split())
    assert f"({', '.join(COMPARED)})" in text
    from tf_diet.audio.sources import PARTS

    assert "{" + ",".join(PARTS) + "}" in helped(capsys, "evaluate")


PRUNE = [
    ["m.keras"],
    ["--keep", "head*,stem"],
    ["--tie", "a,b"],
    ["--tie=c,d"],
    ["--max-rate", "0.8"],
    ["--no-exact"],
    ["--rate=0.5"],
    ["-o", "small.keras"],
    ["-q"],
]
GENERATE = [
    ["run"],
    ["--notes", "C4,E4:0.5,r"],
    ["--transpose", "-12"],
    ["-o", "x.wav"],
    ["--instrument", "flute"],
]
LOTTERY = [
    ["net.py:build"],
    ["--sparsities", "0.3,0.5"],
    ["--keep", "head"],
    ["--rewind", "5%"],
    ["--scratch"],
    ["--folder", "run"],
]
RUNS = [["a"], ["b"], ["--plot", "x.png"], ["--best"], ["--json", "-"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "groups"),
    [
        ("prune", PRUNE),
        ("generate", GENERATE),
        ("lottery", LOTTERY),
        ("runs", RUNS),
    ],
)
@given(data=st.data())
def test_options_stand_anywhere_on_the_line(command, groups, data):
    order = data.draw(st.permutations(groups))
    words = [word for group in order for word in group]
    known = vars(parsed(command, *(w for g in groups for w in g)))
    found = vars(parsed(command, *words))
    for name in ("tie", "folders"):
        if name in found:
            found[name], known[name] = sorted(found[name]), sorted(known[name])
    assert found == known


@pytest.mark.parametrize(
    "words",
    [
        "m.keras --keep a b",
        "m.keras --keep a,b",
        "m.keras --keep=a,b",
        "m.keras --keep a --keep b",
        "--keep a b m.keras",
        "--keep a,b m.keras",
        "--keep a b --rate 0.5 m.keras",
        "--rate 0.5 --keep a b m.keras",
        "--keep a b -- m.keras",
    ],
)
def test_lists_leave_the_name_of_the_model_alone(words):
    args = parsed("prune", *words.split())
    assert (args.model, list(args.keep)) == ("m.keras", ["a", "b"])


def test_of_several_lists_the_file_that_is_there_is_the_model(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = ["prune", "--keep", "a", "b", "m.keras", "--tie", "c", "d", "e"]
    with pytest.raises(SystemExit):
        parsed(*words)
    assert "MODEL" in capsys.readouterr().err
    (tmp_path / "m.keras").touch()
    args = parsed(*words)
    assert args.model == "m.keras"
    assert list(args.keep) == ["a", "b"]
    assert args.tie == [["c", "d", "e"]]


@pytest.mark.parametrize(
    "words",
    [
        "run --notes C4 E4 -o x.wav",
        "--notes C4 E4 -o x.wav run",
        "--notes C4 E4 run -o x.wav",
        "run --notes C4,E4 --out x.wav",
        "--notes C4 --out x.wav run --notes E4",
    ],
)
def test_notes_leave_the_folder_alone(words):
    args = parsed("generate", *words.split())
    assert (str(args.folder), args.notes) == ("run", ["C4", "E4"])


def test_a_file_with_a_comma_in_its_name_is_one_value(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tune, first.txt").write_text("C4")
    args = parsed("generate", "r", "--notes", "tune, first.txt", "-o", "x.wav")
    assert args.notes == ["tune, first.txt"]


def test_values_with_brackets_keep_their_commas():
    assert list(parts("a=(1, 2),b=[3,4],c=5")) == ["a=(1, 2)", "b=[3,4]", "c=5"]
    args = parsed(*least("train"), "--set", "a=(1,2)", "b=3,c=4")
    assert args.set == ["a=(1,2)", "b=3", "c=4"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("prune", "MODEL"),
        ("prune m.keras --nothing 3", "--nothing"),
        ("prune m.keras other.keras", "other.keras"),
        ("lottery net.py:build -o r --sparsities 0.3,much", "--sparsities"),
        ("train --model ddps --data d -o r", "ddps"),
        ("inspect m.keras --verbosity loud", "loud"),
        ("profile m.tflite --hop", "--hop"),
        ("nothing", "nothing"),
    ],
)
def test_slips_are_named(words, message, capsys):
    with pytest.raises(SystemExit) as caught:
        parsed(*words.split())
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("held", "replaced"),
    [
        ("{}", True),
        ('[{"a": 1}]\n', True),
        ("", False),
        ("C4 E4", False),
        (b"PK\x03\x04\xff", False),
        (None, True),
    ],
)
def test_json_replaces_json_and_nothing_else(tmp_path, capsys, held, replaced):
    path = tmp_path / "boards.json"
    if held is not None:
        held = held if isinstance(held, bytes) else held.encode()
        path.write_bytes(held)
    code = app.main(parsed("profile", "--boards", "--json", str(path)))
    said = capsys.readouterr().err
    if replaced:
        assert code == 0
        assert "nano-33-ble" in path.read_text()
    else:
        assert code == 2
        assert "Name another file" in said
        assert path.read_bytes() == held
