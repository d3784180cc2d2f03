"""Which licenses a source may have, in the spellings of task files, dataset cards and SPDX."""

from collections.abc import Collection

from davidgen_hf.provenance.licenses import CLASSES, normalise_license, split_licenses

# Sets that a setting may name instead of single licenses. Licenses that forbid commercial use or changes, and a
# source's own terms, are in neither.
LICENSE_SETS = {
    # Free to use, change and redistribute; at most the authors must be named.
    "permissive": (*CLASSES["public_domain"], *CLASSES["notice"], *CLASSES["attribution"]),
    # As above, but derived work must carry the same license.
    "share-alike": (*CLASSES["share_alike"], "cc-by-sa", "gfdl", "odbl"),
}


def refused_license(license: str, allowed: Collection[str]) -> str | None:
    """Return why a row may not be used, ``license_unknown`` or ``license_not_allowed``; None if it may.

    Args:
        license: The row's license. If it has several, joined by commas or slashes, each must be allowed.
        allowed: Licenses, or names of ``LICENSE_SETS``, in any spelling that ``normalise_license`` knows; empty allows
            all.
    """
    if not allowed:
        return None
    if not license:
        return "license_unknown"
    names = {normalise_license(name) for entry in allowed for name in LICENSE_SETS.get(entry, (entry,))}
    return None if names.issuperset(split_licenses(license)) else "license_not_allowed"
