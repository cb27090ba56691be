"""The rows of the suite by letter, in the order of the report. Registering a row here is all it takes."""

from __future__ import annotations

from .row import Row
from .row_a_faults import ROW as FAULTS
from .row_b_compound import ROW as COMPOUND
from .row_c_allocations import ROW as ALLOCATIONS
from .row_d_states import ROW as STATES
from .row_e_kills import ROW as KILLS
from .row_f_corruption import ROW as CORRUPTION
from .row_g_machine import ROW as MACHINE
from .row_h_options import ROW as OPTIONS
from .row_i_twins import ROW as TWINS
from .row_k_fuzz import ROW as FUZZ
from .row_p_same import ROW as SAME
from .row_q_formats import ROW as FORMATS

_ALL = (FAULTS, COMPOUND, ALLOCATIONS, STATES, KILLS, CORRUPTION, MACHINE, OPTIONS, TWINS, FUZZ, SAME, FORMATS)
ROWS: dict[str, Row] = {row.letter: row for row in _ALL}
