"""Licences in the spelling of task files, cards and SPDX; what is not known to be allowed is refused."""

import pytest

from davidgen_hf.provenance.tables import licenses
from davidgen_hf.sources.licenses import refused_license


@pytest.mark.parametrize(
    "name",
    ["Apache 2.0", "apache-2.0", "MIT", "mit", "CC BY 4.0", "cc-by-4.0", "BSD 2-Clause", "odc-by", "Public Domain"],
)
def test_permissive_in_any_spelling(name):
    assert refused_license(name, ["permissive"]) is None
    assert refused_license(name, ["share-alike"]) == "license_not_allowed"


@pytest.mark.parametrize("name", ["CC BY-SA 4.0", "cc-by-sa-3.0, gfdl", "CC BY-SA 3.0 / GFDL"])
def test_share_alike_is_a_set_of_its_own(name):
    assert refused_license(name, ["permissive"]) == "license_not_allowed"
    assert refused_license(name, ["permissive", "share-alike"]) is None


@pytest.mark.parametrize(
    "name",
    ["CC BY-NC 4.0", "CC BY-NC-SA 4.0", "CC BY-ND 4.0", "Unknown", "Custom", "other", "MIT, CC BY-NC 4.0", "llama3"],
)
def test_what_no_set_has(name):
    assert refused_license(name, list(licenses().sets)) == "license_not_allowed"
    assert refused_license(name, []) is None


def test_a_licence_by_its_own_name():
    assert refused_license("CC BY-NC 4.0", ["cc-by-nc-4.0", "MIT"]) is None
    assert refused_license("Apache 2.0", ["MIT"]) == "license_not_allowed"


def test_no_licence():
    assert refused_license("", ["permissive"]) == "license_unknown"
    assert refused_license("", []) is None
