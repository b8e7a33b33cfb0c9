"""Cleaning of Chinese web text: one step a file, thresholds in ``configs/cleaning/web.yaml``.

``docs/cleaning.md`` says what each step does and how to add one. ``configuration.load_cleaning`` reads the YAML.
"""

import importlib

from data_prep.cleaning.step import CleaningStep

# The name of a step in the YAML, which is also its module -> its class. Imported when a file names it.
STEPS = {
    "encoding": "Encoding",
    "html_residue": "HtmlResidue",
    "boilerplate": "Boilerplate",
    "script_conversion": "ScriptConversion",
    "personal_data": "PersonalData",
    "length": "Length",
    "han_share": "HanShare",
    "character_mix": "CharacterMix",
    "line_shape": "LineShape",
    "repetition": "Repetition",
    "bad_words": "BadWords",
}


def step_class(name: str) -> type[CleaningStep]:
    """The class of the step called ``name``, one of ``STEPS``."""
    found: type[CleaningStep] = getattr(importlib.import_module(f"data_prep.cleaning.{name}"), STEPS[name])
    return found
