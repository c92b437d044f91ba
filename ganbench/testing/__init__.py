"""The conformance kit: whether a plugin's components keep the contracts of `ganbench.api`.

Public, with the promise that `ganbench.api` gives: `check_variant`, `check_dataset`, `check_metric`,
`check_extractor`, `check_probe`, `check_executor` and `check_reporter`, which take a name or a class and return a
`Report` of `Outcome` objects, and `parametrize_with_checks` for pytest. The names of checks are public too, as
`expected_failures` refers to them; a minor version may add checks. All else in this package may change without notice.

Importing this module imports neither torch nor pytest.
"""

from ganbench.testing.kit import (
    check_dataset,
    check_executor,
    check_extractor,
    check_metric,
    check_probe,
    check_reporter,
    check_variant,
)
from ganbench.testing.outcomes import Outcome, Report
from ganbench.testing.parametrize import parametrize_with_checks

__all__ = [
    "Outcome",
    "Report",
    "check_dataset",
    "check_executor",
    "check_extractor",
    "check_metric",
    "check_probe",
    "check_reporter",
    "check_variant",
    "parametrize_with_checks",
]
