"""A run as Hugging Face Jobs: one job per part, in a bucket that all of them share, and how far each is."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from huggingface_hub import JobHardware, JobInfo, Volume, get_token, inspect_job, list_jobs_hardware, run_uv_job
from pydantic import BaseModel

from davidgen_hf.errors import ExecutorError, HubError, RunFolderError, SettingError
from davidgen_hf.publish.calls import call_hub
from davidgen_hf.recipe import Recipe
from davidgen_hf.sources.paths import local_path
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.status import JOBS
from davidgen_hf.storage.validation import read_json

MOUNT = "/runs"
_ENDED = ("COMPLETED", "ERROR", "CANCELED", "DELETED")
_ADVICE = "It records the jobs of a run, and this one is damaged. Put back a copy, or look at `hf jobs ps`."


@dataclass(frozen=True)
class JobSettings:
    """Where jobs run, and what they share.

    Args:
        bucket: Bucket on the Hub, ``org/name``, mounted at ``/runs`` in each job; the run's folder is in it.
        flavor: Hardware, as `hf jobs hardware` lists it.
        timeout: Longest duration of a job, such as ``6h``.
        parts: Number of jobs; several build a part of the corpus each.

    Raises:
        SettingError: The bucket is no id, or there are no parts.
    """

    bucket: str
    flavor: str = "a10g-small"
    timeout: str = "6h"
    parts: int = 1

    def __post_init__(self) -> None:
        if len(self.bucket.split("/")) != 2 or not all(self.bucket.split("/")):
            raise SettingError(
                f"--bucket is {self.bucket!r}. The jobs share the run's folder in a bucket of the Hub, org/name. "
                "Create one with `hf buckets create org/name`, and name it."
            )
        if self.parts < 1:
            raise SettingError(f"--workers is {self.parts}. There is at least one job. Pass 1 or more.")


class Job(BaseModel):
    """A job that was submitted."""

    part: str
    command: list[str]
    id: str
    namespace: str
    url: str


class Jobs(BaseModel):
    """What ``jobs.json`` holds."""

    bucket: str
    flavor: str
    jobs: list[Job] = []


def plan_jobs(words: Sequence[str], folder: Path, settings: JobSettings) -> dict[str, list[str]]:
    """Return the command of each job, by its part: ``0/4`` and so on, or ``all``.

    Args:
        words: Recipe, overrides and options of ``davidgen run``, without those that say where it runs.
        folder: The run's folder here; in the bucket, it has the same name.
        settings: Where the jobs run.
    """
    command = ["davidgen", "run", *words, "--output", f"{MOUNT}/{folder.resolve().name}"]
    if settings.parts == 1:
        return {"all": command}
    parts = [f"{number}/{settings.parts}" for number in range(settings.parts)]
    return {part: [*command, "--shard", part] for part in parts}


def require_remote(recipe: Recipe) -> None:
    """Require that a job finds what a recipe names: on the Hub, in a package, or in the bucket.

    Raises:
        SettingError: It names a file or folder of this machine.
    """
    named = [source.source for source in recipe.corpus.sources]
    named += [str(section["model_name_or_path"]) for section in (recipe.generator, recipe.follower)]
    named += [source.source for source in recipe.seeds.sources]
    for source in named:
        if "/" in source or "." in source:
            refuse_local(source)


def refuse_local(place: str) -> None:
    """Refuse a path of this machine, which a job has not.

    Raises:
        SettingError: It is one.
    """
    if local_path(place) is not None and not place.startswith(f"{MOUNT}/"):
        name = Path(place).name
        raise SettingError(
            f"{place} is on this machine. A job reads from the Hub, or from the bucket, which it has at {MOUNT}. Copy "
            f"it there with `hf buckets cp`, and name it {MOUNT}/{name}. A shipped recipe has a name without a folder."
        )


def require_flavor(flavor: str) -> None:
    """Require hardware that Jobs have; the Hub is asked about what this huggingface_hub does not know.

    Raises:
        SettingError: There is no such hardware.
        HubError: The Hub does not answer.
    """
    if flavor in {one.value for one in JobHardware}:
        return
    listed = call_hub("The hardware of jobs", lambda: [one.name for one in list_jobs_hardware()])
    if flavor not in listed:
        raise SettingError(
            f"--flavor is {flavor!r}, which Hugging Face Jobs do not have. It must be one of {', '.join(listed)}. "
            "Choose one; `hf jobs hardware` shows what each costs."
        )


def submit_jobs(
    commands: dict[str, list[str]], folder: Path, settings: JobSettings, announce: Callable[[str], None]
) -> Jobs:
    """Submit the jobs that are not under way or completed; each is recorded before the next one is submitted.

    Args:
        commands: As ``plan_jobs`` returns them.
        folder: The run's folder here, which gets ``jobs.json``.
        settings: Where the jobs run.
        announce: Called with a line about each job.

    Raises:
        HubError: There is no token, or the Hub refuses. A refused job is not submitted twice.
        RunFolderError: ``jobs.json`` is damaged or cannot be written.
    """
    token = get_token()
    if token is None:
        raise HubError(
            "There is no token of the Hub. Jobs run for the account that a token belongs to, and pay from its "
            "credit. Set HF_TOKEN, or call `hf auth login`."
        )
    recorded = read_jobs(folder) or Jobs(bucket=settings.bucket, flavor=settings.flavor)
    known = {(job.part, tuple(job.command)): job for job in recorded.jobs}
    for part, command in commands.items():
        earlier = known.get((part, tuple(command)))
        if earlier and (stage := _inspect(earlier).status.stage) not in _ENDED[1:]:
            announce(f"{part}: {stage.lower()} as {earlier.url}")
            continue
        submit = partial(
            run_uv_job,
            command[0],
            script_args=command[1:],
            dependencies=[f"davidgen-hf=={version('davidgen-hf')}"],
            flavor=settings.flavor,
            timeout=settings.timeout,
            secrets={"HF_TOKEN": token},
            labels={"davidgen-run": folder.resolve().name, "davidgen-part": part.replace("/", "-of-")},
            volumes=[Volume(type="bucket", source=settings.bucket, mount_path=MOUNT)],
        )
        # Tried once: the answer to a request that was lost may have been a job, which costs money.
        info = call_hub(f"The job of part {part}", submit, writing=True, tries=1)
        job = Job(part=part, command=command, id=info.id, namespace=info.owner.name, url=info.url)
        recorded.jobs = [*(one for one in recorded.jobs if (one.part, one.command) != (part, command)), job]
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / JOBS, recorded.model_dump_json(indent=2) + "\n")
        announce(f"{part}: submitted as {info.url}")
    return recorded


def read_jobs(folder: Path) -> Jobs | None:
    """Return the jobs of a run; None if it has none.

    Raises:
        RunFolderError: ``jobs.json`` is damaged.
    """
    path = folder / JOBS
    return read_json(path, Jobs, _ADVICE, error=RunFolderError) if path.is_file() else None


def describe_jobs(folder: Path) -> Iterator[str]:
    """Yield a line about each job of a run: its part, what it is doing, and where its log is.

    Raises:
        HubError: The Hub cannot be reached or refuses.
        RunFolderError: ``jobs.json`` is damaged.
        ExecutorError: A job failed or was stopped; all lines come before.
    """
    jobs = read_jobs(folder)
    failed = []
    for job in jobs.jobs if jobs else ():
        info = _inspect(job)
        said = f": {info.status.message}" if info.status.message else ""
        yield f"{job.part}: {info.status.stage.lower()}{said}, {job.url}"
        failed += [f"{job.part}{said}"] if info.status.stage in _ENDED[1:] else []
    if jobs and jobs.jobs:
        yield f"The run is in hf://buckets/{jobs.bucket}/{folder.resolve().name}, on {jobs.flavor}."
    if failed:
        raise ExecutorError(
            f"{len(failed)} job(s) failed or were stopped, {'; '.join(failed)}. Finished shards stay in the bucket. "
            "Read the log at the address above, then submit again with --yes: only these parts are started."
        )


def show(commands: dict[str, list[str]], settings: JobSettings) -> Iterator[str]:
    """Yield what would be submitted, as commands of ``hf jobs``."""
    for command in commands.values():
        volume = f"hf://buckets/{settings.bucket}:{MOUNT}"
        options = ["--flavor", settings.flavor, "--timeout", settings.timeout, "--secrets", "HF_TOKEN"]
        options += ["--with", f"davidgen-hf=={version('davidgen-hf')}", "-v", volume]
        yield shlex.join(["hf", "jobs", "uv", "run", *options, "--", *command])


def _inspect(job: Job) -> JobInfo:
    return call_hub(f"Job {job.id}", partial(inspect_job, job_id=job.id, namespace=job.namespace))
