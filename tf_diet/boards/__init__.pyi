# SPDX-License-Identifier: MIT
from .board import Board as Board
from .board import boards as boards
from .board import get as get
from .board import read_catalogue as read_catalogue
from .board import register_board as register_board
from .deployment import Deployment as Deployment
from .deployment import deploy as deploy
from .fit import Fit as Fit
from .fit import fits as fits
from .fit import fits_all as fits_all
from .latency import Latency as Latency
from .latency import measure as measure
from .profiling import Profile as Profile
from .profiling import profile as profile
