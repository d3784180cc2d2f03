"""Which licences a source may have: names as task files, dataset cards and SPDX write them."""

from collections.abc import Collection

from davidgen_hf.provenance.licenses import CLASSES, normalise_license, split_licenses

# Names of sets that a setting may use in place of the licences themselves. Terms that forbid commercial use or
# changes, and licences of a source's own making, are in neither.
LICENSE_SETS = {
    # Use, change and passing on are free; at most the authors are to be named.
    "permissive": (*CLASSES["public_domain"], *CLASSES["notice"], *CLASSES["attribution"]),
    # As above, but what is made of it must carry the same licence.
    "share-alike": (*CLASSES["share_alike"], "cc-by-sa", "gfdl", "odbl"),
}


def refused_license(license: str, allowed: Collection[str]) -> str | None:
    """Return why a row may not be used: ``license_unknown``, ``license_not_allowed``, or None where it may.

    Args:
        license: The row's licence; where it has several, joined by commas or slashes, each of them must be allowed.
        allowed: Licences, or names of ``LICENSE_SETS``, in any spelling that ``normalise_license`` knows; none allows
            all.
    """
    if not allowed:
        return None
    if not license:
        return "license_unknown"
    names = {normalise_license(name) for entry in allowed for name in LICENSE_SETS.get(entry, (entry,))}
    return None if names.issuperset(split_licenses(license)) else "license_not_allowed"
