"""The review page as HTML: it makes no request to another host and runs none of the text it shows."""

from importlib.metadata import version
from importlib.resources import files

import jinja2
from markupsafe import Markup

from davidgen_hf.report.page import digest
from davidgen_hf.report.review.desk import Desk


def render_review(desk: Desk, reviewer: str) -> str:
    """Return the page; its script requests the rows."""
    shared = files("davidgen_hf.report") / "assets"
    own = files("davidgen_hf.report.review") / "assets"
    style = (shared / "page.css").read_text("utf-8") + (own / "review.css").read_text("utf-8")
    script = (shared / "shared.js").read_text("utf-8") + (own / "review.js").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    policy = [
        "default-src 'none'",
        f"script-src 'sha256-{digest(script)}'",
        f"style-src 'sha256-{digest(style)}'",
        *("connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'"),
    ]
    return environment.from_string((own / "review.html.jinja").read_text("utf-8")).render(
        name=desk.rows.run.resolve().name,
        policy="; ".join(policy),
        style=Markup(style),
        script=Markup(script),
        reviewer=reviewer,
        strategies=sorted(desk.names("strategy")),
        styles=sorted(desk.names("style")),
        without_row=len(desk.without_row),
        version=version("davidgen-hf"),
    )
