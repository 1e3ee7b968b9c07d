"""What an error's line suggests."""

from __future__ import annotations

import pytest

from ganbench.errors import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("my_gan", ["mlp_gan", "my_gan-lr=0.0001-quick"], "my_gan-lr=0.0001-quick"),
        ("my_gan", ["my_gan-lr=0.1-quick", "my_gan-quick", "my_gam"], "my_gan-quick"),
        ("sin", ["spirals", "sine", "cosine"], "sine"),
        ("mpl_gan", ["mlp_gan", "oracle"], "mlp_gan"),
    ],
)
def test_what_begins_with_the_name_comes_before_what_is_like_it(name, known, hint):
    assert did_you_mean(name, known) == f": did you mean {hint!r}?"


def test_without_anything_near_the_choices_are_named():
    assert did_you_mean("zzz", ["a", "b"]) == "; known: a, b"
    assert did_you_mean("", ["a", "b"]) == "; known: a, b"
    assert did_you_mean("x", []) == ""
