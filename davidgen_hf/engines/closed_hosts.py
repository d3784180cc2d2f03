"""Which servers answer with models whose weights are not published, by the name of their host."""

from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from davidgen_hf.provenance.tables import closed_hosts


def closed_models_at(base_url: str) -> str | None:
    """Return which closed models answer at ``base_url``; None if its host is not known for any."""
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    return next((reason for pattern, reason in closed_hosts().items() if fnmatchcase(host, pattern)), None)
