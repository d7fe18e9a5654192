"""Runs tests of kernels under both settings of the switch."""

import pytest

from jaxgen.kernels.switch import REFERENCE_VARIABLE


@pytest.fixture(params=["fast", "reference"])
def kernels(request, monkeypatch) -> str:
    """Which kernels run in the test: the fast ones, or the library calls."""
    monkeypatch.setenv(REFERENCE_VARIABLE, str(int(request.param == "reference")))
    return request.param
