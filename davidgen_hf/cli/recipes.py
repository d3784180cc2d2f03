"""Commands that show recipes: ``recipe list`` and ``recipe show``."""

from pathlib import Path
from typing import Annotated

import typer

from davidgen_hf.cli import options
from davidgen_hf.errors import RunFolderError
from davidgen_hf.terminal import say

app = typer.Typer(help="List the recipes of the package, and show what a recipe says.", no_args_is_help=True)


@app.command("list")
def list_recipes() -> None:
    """List the recipes that come with the package."""
    from davidgen_hf.recipe import shipped_recipes

    for name in shipped_recipes():
        say(name)


@app.command()
def show(
    recipe: options.Recipe,
    overrides: options.Overrides = None,
    output: Annotated[
        Path | None, typer.Option(help="New folder: write the whole recipe there, to change it. Nothing is printed.")
    ] = None,
) -> None:
    """Show every value of a recipe, as an override, and the file that it comes from.

    Example: davidgen recipe show recipes/paper/table_5/dolly.yaml
    """
    from davidgen_hf.recipe import parse_recipe, read_text, recipe_files
    from davidgen_hf.storage.files import is_in_use, replacing

    text = read_text(recipe, overrides)
    parse_recipe(text.name, text.sections)
    if output is None:
        for line, origin in text.lines():
            say(f"{line}  # {origin}")
        return
    if is_in_use(output):
        raise RunFolderError(f"{output} exists and is not empty. Name a new folder.")
    with replacing(output) as draft:
        draft.mkdir()
        for name, content in recipe_files(text.sections):
            (draft / name).write_text(content, "utf-8")
