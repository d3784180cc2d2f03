"""Data that people wrote, or models whose weights are open; each entry says where that can be read."""

from davidgen_hf.provenance.known import Known

OPEN = (
    Known(
        "Dolly",
        ("databricks/databricks-dolly-15k", "huggingfaceh4/databricks_dolly_15k"),
        "employees of Databricks wrote it and were told to use no generative AI",
        "https://huggingface.co/datasets/databricks/databricks-dolly-15k",
        license="cc-by-sa-3.0",
        words=("dolly",),
    ),
    Known(
        "SuperNI",
        (
            *("allenai/natural-instructions", "muennighoff/natural-instructions", "jayelm/natural-instructions"),
            "yizhongw/self_instruct:super_natural_instructions",
        ),
        "contributors wrote the definitions to existing datasets; each task has a licence of its own",
        "https://arxiv.org/abs/2204.07705",
        words=("superni", "natural-instructions"),
    ),
    Known(
        "Self-Instruct (seed tasks)",
        ("yizhongw/self-instruct:seed_tasks",),
        "the authors of Self-Instruct wrote its 175 tasks",
        "https://github.com/yizhongw/self-instruct/blob/main/data/seed_tasks.jsonl",
        license="apache-2.0",
    ),
    Known(
        "Self-Instruct (user-oriented tasks)",
        ("yizhongw/self_instruct:human_eval",),
        "the authors of Self-Instruct wrote its 252 tasks, and ask that they be used for evaluation only",
        "https://github.com/yizhongw/self-instruct/tree/main/human_eval",
        license="apache-2.0",
    ),
    Known(
        "P3",
        ("bigscience/p3", "yizhongw/self_instruct:p3", "yizhongw/self_instruct:prompt_source"),
        "people wrote the templates to existing datasets; each of these has a licence of its own",
        "https://huggingface.co/datasets/bigscience/P3",
    ),
    Known(
        "FLAN collection",
        ("google-research/flan", "muennighoff/flan", "open-orca/flan"),
        "people wrote the templates to existing datasets; each of these has a licence of its own",
        "https://arxiv.org/abs/2301.13688",
        words=("flan",),
    ),
    Known(
        "OpenAssistant Conversations",
        ("openassistant/oasst1", "openassistant/oasst2"),
        "volunteers wrote and rated it",
        "https://huggingface.co/datasets/OpenAssistant/oasst1",
        license="apache-2.0",
        words=("oasst",),
    ),
    Known(
        "No Robots",
        ("huggingfaceh4/no_robots",),
        "annotators wrote it",
        "https://huggingface.co/datasets/HuggingFaceH4/no_robots",
        license="cc-by-nc-4.0",
    ),
    Known(
        "Aya Dataset",
        ("coherefor*ai/aya_dataset", "coherelabs/aya_dataset"),
        "speakers of 65 languages wrote it",
        "https://huggingface.co/datasets/CohereForAI/aya_dataset",
        license="apache-2.0",
    ),
    Known(
        "Dromedary",
        ("zhiqings/dromedary-65b-verbose-clone-v0",),
        "LLaMA-65B, whose weights are open, wrote it after 300 lines of people",
        "https://huggingface.co/datasets/zhiqings/dromedary-65b-verbose-clone-v0",
        license="cc-by-nc-4.0",
        words=("dromedary",),
    ),
    Known(
        "Wikipedia",
        ("wikimedia/wikipedia", "legacy-datasets/wikipedia", "wikipedia"),
        "its editors wrote it",
        "https://huggingface.co/datasets/wikimedia/wikipedia",
        license="cc-by-sa-3.0",
        words=("wikipedia",),
    ),
    Known(
        "WikiText",
        ("salesforce/wikitext", "wikitext"),
        "the editors of Wikipedia wrote it",
        "https://huggingface.co/datasets/Salesforce/wikitext",
        license="cc-by-sa-3.0",
    ),
    Known(
        "XQuAD",
        ("google/xquad", "google-deepmind/xquad"),
        "the editors of Wikipedia and professional translators wrote it",
        "https://github.com/google-deepmind/xquad",
        license="cc-by-sa-4.0",
    ),
    Known(
        "C4",
        ("allenai/c4", "legacy-datasets/c4", "c4"),
        "it is the text of web pages of April 2019",
        "https://huggingface.co/datasets/allenai/c4",
        license="odc-by",
        words=("c4",),
    ),
    Known(
        "FineWeb-Edu",
        ("huggingfacefw/fineweb-edu*",),
        "it is the text of web pages, chosen by a classifier; who wrote each page is not known",
        "https://huggingface.co/datasets/HuggingFaceFW/fineweb-edu",
        license="odc-by",
    ),
    Known(
        "DCLM",
        ("mlfoundations/dclm-baseline-1.0*",),
        "it is the text of web pages, chosen by a classifier; who wrote each page is not known",
        "https://arxiv.org/abs/2406.11794",
        license="cc-by-4.0",
    ),
    Known(
        "The Stack",
        ("bigcode/the-stack*",),
        "it is source code under permissive licences, each file under its own",
        "https://huggingface.co/datasets/bigcode/the-stack",
    ),
    Known(
        "The Pile",
        ("eleutherai/pile", "eleutherai/the_pile*"),
        "it is text of 22 sources of 2020 and before",
        "https://arxiv.org/abs/2101.00027",
    ),
    Known(
        "chatterbot-corpus",
        ("chatterbot-corpus", "gunthercox/chatterbot-corpus"),
        "its users contributed it, in its version of 2019 before there was a ChatGPT",
        "https://github.com/gunthercox/chatterbot-corpus",
        license="bsd-3-clause",
    ),
    Known(
        "Python's documentation",
        ("pydoc_data.topics",),
        "the developers of Python wrote it",
        "https://docs.python.org/3/license.html",
        license="psf-2.0",
    ),
)

# Files whose content alone says what they are, by size in bytes and SHA-256; a file of another size need not be read.
OPEN_FILES = {
    # SuperNI's lists of train tasks, which a folder with its tasks has beside them.
    (30_489, "7ba69b22c1d6096f9747290782e5e0f358728407b065c4bd561fdf4f6239db1c"): "allenai/natural-instructions",
    (49_842, "eba404ed17166cf9077ba9d56a8574990e8c212877a4fea71bf8846442eddbcd"): "allenai/natural-instructions",
    (110_934, "7779004fa198fdf27cf70a159363879d8a26c53329e11b436af17b3941875f48"): "yizhongw/self-instruct:seed_tasks",
}
