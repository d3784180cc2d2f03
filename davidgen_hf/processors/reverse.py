"""Seeds to training rows of the generator: the output is in the prompt, the instruction is the completion."""

from dataclasses import dataclass, field
from typing import ClassVar

from davidgen_hf import prompts
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch, languages, take
from davidgen_hf.processors.styles import TABLE_9, PromptLanguage, Styles, draw_styles, in_language, style_prompts
from davidgen_hf.schema import TRAINING
from davidgen_hf.storage.settings import UNLESS_DEFAULT, check_settings

SEED_INPUTS = ("append", "omit", "skip_row")


@dataclass(frozen=True)
class ReverseSeeds:
    """Turn a pair around, so that a model learns to write the instruction of a text (section 2.5, Table 9).

    Batch in:  ``instruction`` (n,) str, ``input`` (n,) str, ``output`` (n,) str, and if known ``language`` (n,) str.
    Batch out: all columns of the rows kept, with ``prompt`` (m,) str and ``completion`` (m,) str, m <= n.

    Args:
        styles: Names of ``prompts.STYLES``, or a mapping as in ``GenerateInstructions``; one is drawn for each row.
        inputs: What to do with a seed's input: ``append`` writes it after the instruction, ``omit`` leaves it out,
            ``skip_row`` leaves out rows that have one. The paper does not say which.
        prompt_language: ``row`` writes a seed's prompt in the seed's language, as in ``GenerateInstructions``.
        seed: Decides the draw of the style, together with the row's own texts.

    Raises:
        SettingError: A style or ``inputs`` is unknown.
    """

    reads: ClassVar[tuple[str, ...]] = ("instruction", "input", "output")
    writes: ClassVar = TRAINING
    changes_row_count: ClassVar[bool] = True

    styles: Styles = TABLE_9
    inputs: str = "append"
    seed: int = 0
    version: int = 1
    prompt_language: PromptLanguage = field(default="en", metadata=UNLESS_DEFAULT)

    def __post_init__(self) -> None:
        check_settings(self)
        style_prompts(self.styles)
        if self.inputs not in SEED_INPUTS:
            raise SettingError(f"inputs must be one of {SEED_INPUTS}, got {self.inputs!r}.")

    def __call__(self, batch: Batch) -> Batch:
        rows = range(len(batch["output"]))
        has_both = [batch["instruction"][row] is not None and batch["output"][row] is not None for row in rows]
        kept = [row for row in rows if has_both[row] and not (self.inputs == "skip_row" and batch["input"][row])]
        reversed_rows = take(batch, kept)
        seeds = zip(*(reversed_rows[name] for name in self.reads), languages(reversed_rows, "en"), strict=True)
        pairs = [self._pair(instruction, given or "", output, code) for instruction, given, output, code in seeds]
        return reversed_rows | {"prompt": [pair[0] for pair in pairs], "completion": [pair[1] for pair in pairs]}

    def _pair(self, instruction: str, given: str, output: str, language: str) -> tuple[str, str]:
        styles = style_prompts(self.styles)
        (style,) = draw_styles(styles, 1, self.seed, instruction, output)
        answer = prompts.render_answer(instruction, given if self.inputs == "append" else "")
        found = in_language(style, styles, language) if self.prompt_language == "row" else styles[style]
        return prompts.render_generator(output, found), answer
