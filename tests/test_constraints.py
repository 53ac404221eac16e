from tests.casts.test_constraints import VIOLATIONS as CASTS
from tests.constraints import IMPLIED, declared
from tests.generations.test_constraints import VIOLATIONS as GENERATIONS
from tests.spells.test_constraints import VIOLATIONS as SPELLS


def test_each_constraint_of_the_models_has_a_test_that_violates_it():
    violated = {**SPELLS, **GENERATIONS, **CASTS}
    assert set(violated) == set(declared())
    assert all(violated.values())


def test_what_is_said_to_be_implied_is_declared():
    assert set(IMPLIED) <= set(declared())
