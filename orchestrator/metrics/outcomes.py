"""What a request came to, against what its path must answer."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from orchestrator.model.plan import Expectation
from orchestrator.model.samples import Outcome, Samples

_EXPECTED = {Expectation.OK: Outcome.OK, Expectation.REFUSED: Outcome.REFUSED}


def met(samples: Samples, expect: Expectation) -> NDArray[np.bool_]:
    """True where the request got what the path must answer: the negative control is right when it is refused."""
    return np.asarray(samples.records["outcome"] == _EXPECTED[expect])


def count_outcomes(samples: Samples) -> Mapping[str, int]:
    """Requests by outcome, most first; outcomes that did not occur are left out."""
    numbers = np.bincount(samples.records["outcome"], minlength=len(Outcome))
    counts = {outcome.label: int(numbers[outcome]) for outcome in Outcome if numbers[outcome]}
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
