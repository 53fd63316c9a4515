"""No kinds: loading this takes the guard away that ``CHAOS_MUTANT`` names."""

import os

from tasks.core.spec import JobSpec
from tests.chaos.mutants.guards import MUTANTS

SPECS: tuple[JobSpec, ...] = ()

MUTANTS[os.environ["CHAOS_MUTANT"]]()
