import errno
import os

import pytest

from loadtests.outcomes import Outcome, outcome_of


@pytest.mark.parametrize(
    ("number", "while_connecting", "once_connected"),
    [
        (errno.ECONNREFUSED, Outcome.REFUSED, Outcome.REFUSED),
        (errno.ECONNRESET, Outcome.RESET, Outcome.RESET),
        (errno.EPIPE, Outcome.RESET, Outcome.RESET),
        (errno.ETIMEDOUT, Outcome.CONNECT_TIMEOUT, Outcome.RESPONSE_TIMEOUT),
        (errno.EHOSTUNREACH, Outcome.UNREACHABLE, Outcome.UNREACHABLE),
        (errno.ENETUNREACH, Outcome.UNREACHABLE, Outcome.UNREACHABLE),
        (errno.EADDRNOTAVAIL, Outcome.OTHER, Outcome.OTHER),
        (errno.EMFILE, Outcome.OTHER, Outcome.OTHER),
    ],
)
def test_error_number_means_an_outcome(number, while_connecting, once_connected):
    error = OSError(number, os.strerror(number))
    assert outcome_of(error, connected=False) is while_connecting
    assert outcome_of(error, connected=True) is once_connected


def test_time_out_without_a_number_depends_on_how_far_the_request_was():
    assert outcome_of(TimeoutError("timed out"), connected=False) is Outcome.CONNECT_TIMEOUT
    assert outcome_of(TimeoutError("timed out"), connected=True) is Outcome.RESPONSE_TIMEOUT
