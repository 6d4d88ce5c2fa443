"""For a pytest file of one's own: every property of one's cells, one test each.

from gatewise_pytest import parametrize_with_properties

@parametrize_with_properties([MyLSTM])
def test_my_lstm(check):
    check()
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from properties.checks import checks_for


def parametrize_with_properties(subjects: Iterable[Any], **options: Any) -> pytest.MarkDecorator:
    """Parametrize a test over the checks of `subjects`; `options` are those of `checks_for`.

    A test that calls its `check` fails where the property does not hold, and is skipped with the
    reason where the subject does not offer it.
    """
    return pytest.mark.parametrize(**checks_for(subjects, **options))
