"""``davidgen plugins``: what other packages add, and from where."""

from davidgen_hf.errors import SettingError
from davidgen_hf.terminal import say


def plugins() -> None:
    """List what installed packages add: strategies, guards, processors, methods, engines, sources and benchmarks.

    Each is imported and checked. Ends with exit code 2 if one cannot be used.
    """
    from davidgen_hf.engines.settings import ENGINES
    from davidgen_hf.evaluation.benchmark import benchmark_table
    from davidgen_hf.methods import METHODS
    from davidgen_hf.methods.back_translation import GUARDS, STRATEGIES
    from davidgen_hf.processors.own import PROCESSORS
    from davidgen_hf.sources.rows import SOURCES

    problems = []
    tables = (STRATEGIES, GUARDS, PROCESSORS, METHODS, ENGINES, SOURCES, benchmark_table())
    for plugin in (one for table in tables for one in table.plugins):
        table = next(one for one in tables if one.group == plugin.group)
        say(f"{plugin.group:<12}{plugin.name:<20}{plugin.value}  # {plugin.package}")
        try:
            table.load(plugin.name)
        except SettingError as error:
            problems.append(str(error))
    if problems:
        raise SettingError("\n".join(dict.fromkeys(problems)))
    if not any(table.plugins for table in tables):
        say("No installed package adds anything. docs/plugins.md shows how to write one.")
