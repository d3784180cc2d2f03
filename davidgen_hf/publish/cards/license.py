"""A license as a card's metadata names it: the Hub knows some by their ids, and calls all others ``other``."""

from typing import Any

# https://huggingface.co/docs/hub/repositories-licenses
HUB_LICENSES = frozenset(
    (
        *("apache-2.0", "mit", "openrail", "openrail++", "bigscience-openrail-m", "creativeml-openrail-m"),
        *("bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd"),
        *("bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5"),
        *("cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
        *("cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0"),
        *("cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0"),
        *("etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1"),
        *("lgpl-3.0", "isc", "mpl-2.0", "ms-pl", "odc-by", "odbl", "osl-3.0", "postgresql", "unlicense", "zlib"),
        *("pddl", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "gemma"),
    )
)


def license_metadata(license: str | None) -> dict[str, Any]:
    """Return the fields of a card's metadata for a license; ``None`` if none is known."""
    if license in HUB_LICENSES:
        return {"license": license}
    return {"license": "other", "license_name": license or "not-determined"}
