"""How far the run, study or improvement in a folder is, in lines of text."""

import time
from pathlib import Path

from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.lock import describe_holder
from davidgen_hf.storage.progress import FILE_NAME, duration, line, read_progress
from davidgen_hf.storage.record import is_run, read_record

JOBS = "jobs.json"  # of a run as Hugging Face Jobs, whose folder is in a bucket


def describe_run(folder: Path) -> list[str]:
    """Return what a run has done, what it does, and last whether a process works in its folder, and which.

    A study and the improvement of a generator show their progress too, but keep no record of finished steps.

    Raises:
        RunFolderError: The folder is none of these, or its ``run.json`` is damaged.
    """
    has_record = is_run(folder)
    if not has_record and not (folder / FILE_NAME).is_file():
        raise RunFolderError(
            f"{folder} is not a run folder: it has no run.json. A run writes that file when it starts. Pass a folder "
            'that "davidgen run", "davidgen improve" or "davidgen study" created.'
        )
    holder = describe_holder(folder)
    done = read_record(folder)["steps"] if has_record else {}
    found = [f"{step}: done in {duration(report.get('seconds', 0))}" for step, report in done.items()]
    requested: list[str] = []
    for path in sorted(folder.glob(f"{FILE_NAME}*")):  # one of the run, or one of each part
        progress = read_progress(path)
        if progress is None:
            continue
        requested += progress.steps
        if progress.step and progress.step not in done:
            part = path.name.removeprefix(FILE_NAME).lstrip(".").replace("-of-", "/")
            what = f"{progress.step}{f', part {part}' if part else ''}"
            shown = "; ".join(map(line, progress.bars))
            ago = duration(max(0.0, time.time() - progress.updated))
            found.append(f"{what}: {'in progress' if holder else 'unfinished'}{shown and f': {shown}'} ({ago} ago)")
    if holder:
        return [*found, f"Running: {holder} works in {folder}."]
    if not has_record:
        return [*found, "Not running. The same command resumes it, and does nothing if it is finished."]
    if not requested:  # an earlier version made the run, which wrote no progress
        return [*found, "Not running."]
    is_done = set(requested) <= set(done)
    return [*found, f"Not running. {'All steps are done.' if is_done else 'The same command resumes the run.'}"]
