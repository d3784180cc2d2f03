"""Settings of the documents' site: ``make docs`` builds it with Sphinx."""

from davidgen_hf import __version__

project = "davidgen_hf"
author = "The davidgen_hf team"
copyright = f"2026, {author}"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
# Shapes, units and Raises stand in the docstrings; what dataclasses and protocols add by themselves does not help.
autodoc_default_options = {"members": True, "undoc-members": False, "exclude-members": "__init__"}
exclude_patterns = ["_build"]
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository, which tests follow

html_theme = "furo"
html_title = "davidgen_hf"
