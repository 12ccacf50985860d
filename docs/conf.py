"""Configuration of Sphinx for the site (`make docs`). Nothing here needs a network."""

import os
import sys
from pathlib import Path

from joyful_hf import __version__

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "joyful_hf"
author = "the joyful_hf developers"
copyright = "the joyful_hf developers, Apache-2.0"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "docstrings",
    "generated_tables",
    "mathml",
]
# Links into other projects' documentation need their inventories, and so a network: only where they are asked for.
if os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "transformers": ("https://huggingface.co/docs/transformers/main/en", None),
        "datasets": ("https://huggingface.co/docs/datasets/main/en", None),
    }

exclude_patterns = ["_build"]
default_role = "code"
highlight_language = "none"

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_rtype = False

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"

html_theme = "furo"
html_title = "joyful_hf"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
