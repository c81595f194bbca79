# SPDX-License-Identifier: MIT
from .clips import Clip as Clip
from .clips import Extracted as Extracted
from .clips import Settings as Settings
from .extraction import extract as extract
from .log_power import LogPowerSpectralLoss as LogPowerSpectralLoss
from .losses import MultiScaleSpectralLoss as MultiScaleSpectralLoss
from .note_events import NoteEvent as NoteEvent
from .note_events import midi_notes as midi_notes
from .note_events import written_notes as written_notes
from .rendering import render as render
from .sources import SHIPPED as SHIPPED
from .sources import Note as Note
from .sources import Source as Source
from .sources import read_source as read_source
