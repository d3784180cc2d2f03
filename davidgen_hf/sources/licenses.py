"""Which licenses a source may have, in the spellings of task files, dataset cards and SPDX."""

from collections.abc import Collection

from davidgen_hf.provenance.licenses import normalise_license, split_licenses
from davidgen_hf.provenance.tables import licenses


def refused_license(license: str, allowed: Collection[str]) -> str | None:
    """Return why a row may not be used, ``license_unknown`` or ``license_not_allowed``; None if it may.

    Args:
        license: The row's license. If it has several, joined by commas or slashes, each must be allowed.
        allowed: Licenses, or names of the ``sets`` in ``licenses.yaml``, in any spelling; empty allows
            all.
    """
    if not allowed:
        return None
    if not license:
        return "license_unknown"
    names = {normalise_license(name) for entry in allowed for name in _members(entry)}
    return None if names.issuperset(split_licenses(license)) else "license_not_allowed"


def _members(entry: str) -> tuple[str, ...]:
    """Return the licences of a set, or the licence itself."""
    table = licenses()
    found = table.sets.get(entry)
    if found is None:
        return (entry,)
    return (*(one for name in found.classes for one in table.classes[name].licenses), *found.licenses)
