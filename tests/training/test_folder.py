# SPDX-License-Identifier: MIT
"""Empty, mine, or with other settings: one answer for all long work."""

import os

import pytest

from tf_diet.errors import RunFolderError
from tf_diet.files import remove_leftovers, replacing, write_text
from tf_diet.training.folder import ResumableFolder

SETTINGS = '{"steps": 6, "sizes": {"hidden": 12}}'


def work(folder, **more):
    return ResumableFolder(folder, "work.json", "work", **more)


def filled(folder, names):
    folder.mkdir(exist_ok=True)
    for name in names:
        text = SETTINGS if name == "work.json" else "x"
        (folder / name).write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("names", "resume", "overwrite", "found"),
    [
        ([], False, False, None),
        ([], True, False, None),
        ([".hidden"], False, False, None),
        (["work.json"], True, False, {"steps": 6, "sizes": {"hidden": 12}}),
        (["work.json", "other"], True, False, {"steps": 6}),
        (["start"], True, False, None),
        (["work.json", "other"], False, True, None),
        (["other"], True, True, None),
    ],
)
def test_what_may_be_begun_or_gone_on_with(
    tmp_path, names, resume, overwrite, found
):
    filled(tmp_path, names)
    with work(tmp_path).locked():
        old = work(tmp_path).open(
            resume=resume, overwrite=overwrite, opening=frozenset({"start"})
        )
        if overwrite:
            assert {p.name for p in tmp_path.iterdir()} == {".lock"}
    assert old is None if found is None else found.items() <= old.items()


@pytest.mark.parametrize(
    ("names", "resume", "message"),
    [
        (["work.json"], False, "not empty. Received: .* pass resume=True"),
        (["other"], False, "not empty.* which holds other"),
        (["other", "b", "c", "d"], False, "holds b, c, d. Name"),
        (["start"], False, "not empty"),
        (["other"], True, "holds no work to go on with"),
        (["other", "start"], True, "holds no work to go on with"),
    ],
)
def test_what_is_in_the_way(tmp_path, names, resume, message):
    filled(tmp_path, names)
    with (
        work(tmp_path).locked(),
        pytest.raises(RunFolderError, match=message) as said,
    ):
        work(tmp_path).open(resume=resume, opening=frozenset({"start"}))
    assert "--overwrite" not in str(said.value)
    with pytest.raises(RunFolderError, match="--overwrite"):
        work(tmp_path, overwritable=True).open(resume=resume)


def test_other_settings_are_shown(tmp_path):
    filled(tmp_path, ["work.json"])
    same = {"sizes": {"hidden": 12}, "steps": 6}
    assert work(tmp_path).open(same, resume=True) == same
    with pytest.raises(RunFolderError) as said:
        work(tmp_path).open({"steps": 8, "sizes": {"hidden": 9}}, resume=True)
    assert "another work. Received: sizes.hidden: 12 there, 9 now; steps" in (
        str(said.value)
    )


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_a_record_that_cannot_be_read(tmp_path, text):
    write_text(tmp_path / "work.json", text)
    with pytest.raises(RunFolderError, match=r"cannot be read. Received: .*"):
        work(tmp_path).open(resume=True)


def test_one_process_at_a_time_and_never_in_a_file(tmp_path):
    with (
        work(tmp_path / "new").locked(),
        pytest.raises(RunFolderError, match="Another process"),
        work(tmp_path / "new").locked(),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(RunFolderError, match="folder is a file"),
        work(tmp_path / "file").locked(),
    ):
        pass


def test_only_what_a_kill_left_is_removed(tmp_path):
    kept = [".venv-3.11", ".git", ".idea.old", ".env.abcdefgh"]
    for name in kept:
        (tmp_path / name).mkdir()
        (tmp_path / name / "inside").touch()
    made = []
    with replacing(tmp_path / "state.npz") as temporary:
        temporary.touch()
        # As a kill would leave it.
        copy = tmp_path / ".early.keras.ab_9defg"
        copy.mkdir()
        (copy / "early.keras").touch()
        made = [temporary.parent.name, copy.name]
        assert set(os.listdir(tmp_path)) == {*kept, *made}
        remove_leftovers(tmp_path)
        assert set(os.listdir(tmp_path)) == set(kept)
        temporary.parent.mkdir()
        temporary.touch()
