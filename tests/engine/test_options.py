"""The risk class of a risk."""

import pytest

from engine.options import Options


@pytest.mark.parametrize(
    ("risk", "risk_class"),
    [(1, "Low"), (2, "Low"), (3, "Medium"), (6, "Medium"), (7, "High"), (10, "High")],
)
def test_both_limits_are_medium(risk: int, risk_class: str) -> None:
    assert Options().risk_class(risk) == risk_class


def test_the_limits_are_options() -> None:
    assert Options(med_risk_min=5, med_risk_max=8).risk_class(4) == "Low"
