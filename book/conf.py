"""Sphinx's settings for the book; `make book` stages the pages in build/book-src first."""

from book.addresses import addresses

project = "tplearn"
author = "the tplearn authors"
project_copyright = "the tplearn authors; text and figures CC BY 4.0, code MIT"
extensions = ["myst_nb", "sphinx_copybutton", "book.transforms"]
exclude_patterns = ["_static"]
language = "en"

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Tensor parallelism"
html_baseurl = addresses().pages
html_static_path = ["_static"]
templates_path = ["_templates"]
html_favicon = "_static/favicon.svg"
html_css_files = ["book.css", "player.css"]
html_js_files = [
    ("glossary.js", {"defer": "defer"}),
    ("book.js", {"defer": "defer"}),
    ("player.js", {"defer": "defer"}),
]
html_copy_source = False
html_show_sourcelink = False
html_domain_indices = False
html_use_index = False
html_last_updated_fmt = None
smartquotes_action = "q"  # quotes only: two hyphens are an option of a command
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
copybutton_selector = "div.cell_input pre, div.highlight-python pre, div.highlight-default pre"
html_theme_options = {
    "light_css_variables": {
        "color-foreground-primary": "#1b1f24",
        "color-foreground-secondary": "#4d5561",
        "color-foreground-muted": "#5f6875",
        "color-background-primary": "#ffffff",
        "color-background-secondary": "#f7f7f4",
        "color-background-border": "#e2e2dc",
        "color-brand-primary": "#1d5a96",
        "color-brand-content": "#1d5a96",
        "color-brand-visited": "#1d5a96",
        "color-inline-code-background": "#f2f2ee",
        "color-code-background": "#f7f7f4",
        "tint": "#eef4fb",
        "warm": "#fdf6e3",
    },
    "dark_css_variables": {
        "color-foreground-primary": "#dfe2e6",
        "color-foreground-secondary": "#b0b7c0",
        "color-foreground-muted": "#9aa3ae",
        "color-background-primary": "#14171b",
        "color-background-secondary": "#1b1f24",
        "color-background-border": "#30363d",
        "color-brand-primary": "#85b9ee",
        "color-brand-content": "#85b9ee",
        "color-brand-visited": "#85b9ee",
        "color-inline-code-background": "#23282e",
        "color-code-background": "#1b1f24",
        "tint": "#17232f",
        "warm": "#262218",
    },
}
